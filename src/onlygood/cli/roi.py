"""`onlygood roi`: a region of interest, proposed from good images, or drawn on a page."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from onlygood.cli.console import EXIT_GOOD, say, show
from onlygood.cli.options import PATHS_HELP, add_settings, given_paths, given_settings, name_of_paths
from onlygood.errors import SettingError
from onlygood.settings import FitSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onlygood.datasets.sources import Source


def add_options(roi: argparse.ArgumentParser) -> None:
    """The options of `onlygood roi`."""
    roi.description = (
        "Say where good images are looked at: with -o, propose a region, all but a plain background that is the same "
        "in each of them; with --page, write a page on which a person draws one. Exit code: 0 if they were written, 2 "
        "if they could not be."
    )
    roi.add_argument("images", metavar="GOOD", nargs="+", help=f"good {PATHS_HELP}")
    roi.add_argument("-o", "--output", metavar="PNG", help="the mask to write, white where parts are looked at (.png)")
    roi.add_argument("--page", metavar="HTML", help="the page to write, to draw on (.html)")
    roi.add_argument(
        "--from",
        dest="given",
        metavar="ROI",
        help="take this region instead of proposing one: a mask, or polygons and boxes of an annotation tool (JSON)",
    )
    add_settings(roi, FitSettings, "max_pixels", "max_bytes", "threads")
    roi.set_defaults(command=run_roi)


def run_roi(options: argparse.Namespace) -> int:
    """`onlygood roi`."""
    from onlygood._files import check_writable, write_atomically
    from onlygood.datasets.sources import list_sources
    from onlygood.heatmap import to_png
    from onlygood.images.limits import ReadingLimits
    from onlygood.images.roi import read_roi
    from onlygood.roi_proposal import propose_region, usual_size

    if not options.output and not options.page:
        raise SettingError("roi needs -o or --page, got neither: say where the mask or the page to draw on goes")
    if options.output:
        if not options.output.lower().endswith(".png"):
            raise SettingError(
                f"a mask must have a name that ends in .png, got {options.output!r}: a page to draw on goes with --page"
            )
        check_writable(options.output)
    if options.page:
        from onlygood.report import roi_page_path

        check_writable(roi_page_path(options.page))
    settings = FitSettings(**given_settings(options, FitSettings))
    limits = ReadingLimits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes)
    found = list_sources(
        given_paths(options.images), group_by=None, groups=None, limits=limits, allow_one=True, command="roi"
    )
    for note in found.notes:
        say(f"note: {note}")
    size = usual_size(found.sources, threads=settings.threads)
    mask: NDArray[np.bool_] | None = None
    if options.given:
        mask = read_roi(options.given, size=size, limits=limits)
    elif options.output:
        proposal = propose_region(found.sources, threads=settings.threads, show_progress=not options.quiet)
        if proposal.note is not None:
            say(f"note: {proposal.note}.")
        mask = proposal.mask
        if mask.all():
            say("note: no background was found that is plain and the same in all images: all of them is looked at.")
    if options.output:
        assert mask is not None  # given, or proposed
        from PIL import Image

        write_atomically(options.output, to_png(Image.fromarray(mask)))
        show(f"{options.output}: {mask.mean():.1%} of {mask.shape[1]} x {mask.shape[0]} pixels are looked at")
    if options.page:
        _write_page(options, found.sources, size, None if mask is None or mask.all() else mask, settings.threads)
        show(f"{options.page}: open it in a browser, draw, and save roi.png")
    return EXIT_GOOD


def _write_page(
    options: argparse.Namespace,
    sources: list[Source],
    size: tuple[int, int],
    mask: NDArray[np.bool_] | None,
    threads: int,
) -> None:
    from onlygood.report import write_roi_page

    write_roi_page(
        options.page,
        sources,
        size=size,
        data_name=name_of_paths(options.images),
        given=shlex.join(options.images),
        mask=mask,
        threads=threads,
    )
