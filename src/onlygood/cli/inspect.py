"""`onlygood inspect`: say which images are not good."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood._plurals import pluralize
from onlygood.cli.console import EXIT_ANOMALY, EXIT_ERROR, EXIT_GOOD, complain, say
from onlygood.cli.inspected_model import InspectedModel, open_inspected
from onlygood.cli.inspection_output import CsvLines, JsonLines, Table
from onlygood.cli.options import (
    PATHS_HELP,
    add_false_alarm_rate,
    add_running_options,
    add_threshold,
    check_report,
    chosen_limits,
    given_paths,
)
from onlygood.cli.trust import add_model_options
from onlygood.errors import ImageError, SettingError

# As `onlygood.products.products.MAX_OPEN`, which is not imported for a help text alone.
MAX_OPEN = 16

if TYPE_CHECKING:
    from onlygood.datasets.folders import ImageFile
    from onlygood.images.reading import ImageArray, ReadingLimits
    from onlygood.report import InspectedImage
    from onlygood.results import Inspection


def add_options(inspect: argparse.ArgumentParser) -> None:
    """The options of `onlygood inspect`."""
    inspect.description = (
        "Say which images are not good. Exit code: 0 if all are, 1 if any is anomalous, 2 on an error."
    )
    inspect.add_argument(
        "model", metavar="MODEL", help="a model file that fit wrote, or a folder of products with --product"
    )
    inspect.add_argument("images", metavar="IMAGES", nargs="+", help=PATHS_HELP)
    inspect.add_argument(
        "--product",
        metavar="PRODUCT",
        help="of a folder of products: the name or the recipe number of the one that the images show, or 'nearest' for "
        "the one whose model finds an image least unusual; that takes an inspection by each, and a wrong part passes "
        "as the product that it is",
    )
    inspect.add_argument("--heatmaps", metavar="FOLDER", help="write an image with its map (PNG) for each")
    inspect.add_argument(
        "--occlusion",
        action="store_true",
        help="make maps by hiding parts of each image: some eighty times slower, and of use where the model's own "
        "map says little (deep-svdd with a LeNet)",
    )
    inspect.add_argument(
        "--max-open",
        type=int,
        default=MAX_OPEN,
        metavar="N",
        help="most models open at once; the nearest of more products needs it raised (default: %(default)s)",
    )
    form = inspect.add_mutually_exclusive_group()
    form.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line on stdout, nothing else there: verdict, the regions to look at, and in what the "
        "image differs in kind from the good ones",
    )
    form.add_argument("--csv", action="store_true", help="a header and a row an image on stdout, nothing else there")
    inspect.add_argument("--report", metavar="HTML", help="write a page to look at, and a CSV file beside it")
    add_false_alarm_rate(inspect)
    add_threshold(inspect)
    add_running_options(inspect)
    add_model_options(inspect)
    inspect.set_defaults(command=run_inspect)


def run_inspect(options: argparse.Namespace) -> int:
    """`onlygood inspect`."""
    from onlygood.cli.heatmaps import Heatmaps
    from onlygood.inspector import inspect_each
    from onlygood.kind_notes import difference_notes

    if options.report:
        check_report(options.report)
    if options.occlusion and not (options.heatmaps or options.report):
        raise SettingError("--occlusion makes maps, got none to make: add --heatmaps or --report, or leave it out")
    limits = chosen_limits(options)
    files, notes = _images_to_inspect(given_paths(options.images), limits, heatmaps=options.heatmaps)
    settings: dict[str, Any] = {
        "false_alarm_rate": options.false_alarm_rate,
        "provider": options.provider,
        # Several images at once, each on one thread, are faster than one image on all threads.
        "threads": 1 if len(files) > 1 else options.threads,
        # Programs get regions, which come of maps.
        "with_map": options.heatmaps is not None or options.json or options.csv,
        "by_occlusion": options.occlusion,
        "require_signature": options.require_signature,
        "max_model_bytes": options.max_model_bytes,
        "max_pixels": limits.max_pixels,
        "max_bytes": limits.max_bytes,
    }
    model = open_inspected(options, settings)
    notes = [*notes, *model.notes]
    for note in notes:
        say(f"note: {note}")
    heatmaps = Heatmaps(options.heatmaps, [file.name for file in files]) if options.heatmaps else None

    def finish(file: ImageFile, inspection: Inspection, pixels: ImageArray) -> Inspection:
        if heatmaps is not None:
            heatmaps.write(inspection)
        return inspection.without_map()

    output = (
        JsonLines()
        if options.json
        else CsvLines(with_product=model.products is not None)
        if options.csv
        else Table([file.name for file in files], products=model.products, is_nearest=model.inspector is None)
    )
    output.begin(model.sentences)
    anomalous = unreadable = 0
    inspected: list[InspectedImage] = []
    # Lines come as images do, so a bar is drawn only where they do not go to the same terminal.
    results = inspect_each(
        model.inspects,
        files,
        image=lambda file: file.named(limits),
        then=finish,
        threads=options.threads,
        total=len(files),
        description="inspecting",
        progress=not (options.quiet or sys.stdout.isatty()),
    )
    differing = []
    for file, result in zip(files, results, strict=True):
        if options.report:
            inspected.append(_to_report(file, result))
        if isinstance(result, ImageError):
            unreadable += 1
            complain(f"onlygood: {result}")
            output.add_error(file.name, result)
            continue
        anomalous += result.is_anomaly
        output.add(result)
        if result.differences:
            differing.append((result.name, result.differences))
    good = len(files) - anomalous - unreadable
    beside = f", {unreadable} not readable" if unreadable else ""
    output.end(f"{pluralize(len(files), 'image')}: {anomalous} anomalous, {good} good{beside}")
    for note in difference_notes(differing, len(files)):
        say(f"note: {note}")
    if options.report:
        _write_report(options, inspected, model)
    if unreadable or (heatmaps is not None and not heatmaps.report()):
        return EXIT_ERROR
    return EXIT_ANOMALY if anomalous else EXIT_GOOD


def _images_to_inspect(
    paths: str | list[str], limits: ReadingLimits, *, heatmaps: str | None
) -> tuple[list[ImageFile], list[str]]:
    """The images, and what was left out where they lie, a sentence each.

    Heat maps of an earlier run are left out where they lie in the folder for heat maps.

    Raises:
        FolderError: heat maps would lie among the images, where a later run could not tell them apart.
    """
    from onlygood.cli.heatmaps import SUFFIX, heatmap_paths
    from onlygood.datasets.given import find_given
    from onlygood.errors import FolderError

    found = find_given(paths, limits=limits)
    if heatmaps is None:
        return found.images, found.notes
    drawn = Path(heatmaps).resolve()
    images = [
        file for file in found.images if not (file.path.name.endswith(SUFFIX) and drawn in file.path.resolve().parents)
    ]
    if not images:
        shown = paths if isinstance(paths, str) else ", ".join(paths)
        raise FolderError(f"{shown} must hold images beside the heat maps in {heatmaps}, got none")
    targets = heatmap_paths(file.name for file in images)
    for file in images:
        if file.member is None and (drawn / targets[file.name]).parent == file.path.resolve().parent:
            raise FolderError(
                f"heat maps must go into a folder of their own, got {heatmaps} for that of {file.name}, which lies "
                f"there: give another, such as {Path(heatmaps, 'heatmaps')}"
            )
    left_out = len(found.images) - len(images)
    which = f"{pluralize(left_out, 'heat map')} of an earlier run {'is' if left_out == 1 else 'are'}"
    return images, [*found.notes, *([f"{which} left out of {heatmaps}."] if left_out else [])]


def _to_report(file: ImageFile, result: Inspection | ImageError) -> InspectedImage:
    """What the report needs to know; without maps, which would add up: it computes those that it shows again."""
    from onlygood.report import InspectedImage

    if isinstance(result, ImageError):
        return InspectedImage(name=file.name, file=file, inspection=None, error=str(result))
    return InspectedImage(name=file.name, file=file, inspection=result, error=None)


def _write_report(options: argparse.Namespace, inspected: Sequence[InspectedImage], model: InspectedModel) -> None:
    from onlygood.inspector import Inspector
    from onlygood.report import write_inspection_report

    inspector = model.inspector
    assert inspector is not None  # a report of the nearest of several is refused
    if not inspector.with_map:
        inspector = Inspector(
            inspector,
            provider=options.provider,
            threads=1,
            by_occlusion=options.occlusion,
            max_pixels=options.max_pixels,
            max_bytes=options.max_bytes,
        )
    write_inspection_report(
        options.report,
        inspected,
        inspector,
        model_name=model.name,
        threads=options.threads,
        progress=not options.quiet,
    )
