"""`onlygood inspect`: say which images are not good."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onlygood.cli.console import EXIT_ANOMALY, EXIT_ERROR, EXIT_GOOD, complain, note_other_files, say
from onlygood.cli.options import add_false_alarm_rate, add_running_options, check_report, chosen_limits, rate_sentences
from onlygood.cli.trust import add_model_options
from onlygood.errors import ImageError, SettingError

if TYPE_CHECKING:
    from onlygood.datasets.folders import ImageFile
    from onlygood.images.reading import ImageArray, ReadingLimits
    from onlygood.inspector import Inspector
    from onlygood.report import InspectedImage
    from onlygood.results import Inspection


def add_options(inspect: argparse.ArgumentParser) -> None:
    """The options of `onlygood inspect`."""
    inspect.description = (
        "Say which images are not good. Exit code: 0 if all are, 1 if any is anomalous, 2 on an error."
    )
    inspect.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    inspect.add_argument("images", metavar="IMAGES", nargs="+", help="folders or images")
    inspect.add_argument("--heatmaps", metavar="FOLDER", help="write an image with its map (PNG) for each")
    inspect.add_argument(
        "--occlusion",
        action="store_true",
        help="make maps by hiding parts of each image: some eighty times slower, and of use where the model's own "
        "map says little (deep-svdd with a LeNet)",
    )
    inspect.add_argument("--json", action="store_true", help="one JSON object a line on stdout, nothing else there")
    inspect.add_argument("--report", metavar="HTML", help="write a page to look at, and a CSV file beside it")
    add_false_alarm_rate(inspect)
    add_running_options(inspect)
    add_model_options(inspect)
    inspect.set_defaults(command=run_inspect)


def run_inspect(options: argparse.Namespace) -> int:
    """`onlygood inspect`."""
    from onlygood._files import make_folder
    from onlygood.images.named import NamedImage
    from onlygood.inspector import Inspector, inspect_each

    if options.report:
        check_report(options.report)
    if options.occlusion and not (options.heatmaps or options.report):
        raise SettingError("--occlusion makes maps, got none to make: add --heatmaps or --report, or leave it out")
    limits = chosen_limits(options)
    files = _images_to_inspect(options.images, limits, heatmaps=options.heatmaps)
    inspector = Inspector(
        options.model,
        false_alarm_rate=options.false_alarm_rate,
        provider=options.provider,
        # Several images at once, each on one thread, are faster than one image on all threads.
        threads=1 if len(files) > 1 else options.threads,
        with_map=options.heatmaps is not None,
        by_occlusion=options.occlusion,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
    )
    note_other_files(options.images)
    heatmaps = make_folder(options.heatmaps) if options.heatmaps else None

    def finish(named: tuple[str, ImageFile], inspection: Inspection, pixels: ImageArray) -> Inspection:
        if heatmaps is not None:
            _write_heatmap(inspector, inspection, pixels, heatmaps)
        return inspection.without_map()

    if options.false_alarm_rate is not None:
        for sentence in rate_sentences(inspector):
            # On stdout there is nothing but JSON, if that is what was asked for.
            say(f"note: {sentence}") if options.json else print(sentence)
    width = max(len(name) for name, _ in files)
    if not options.json:
        print(f"{'image':<{width}}  verdict    {'score':>9}  {'p-value':>8}")
    anomalous = unreadable = 0
    inspected: list[InspectedImage] = []
    # Lines come as images do, so a bar is drawn only where they do not go to the same terminal.
    results = inspect_each(
        inspector,
        files,
        image=lambda named: NamedImage(named[0], named[1].path, named[1].page),
        then=finish,
        threads=options.threads,
        total=len(files),
        description="inspecting",
        progress=not (options.quiet or sys.stdout.isatty()),
    )
    for (name, file), result in zip(files, results, strict=True):
        if options.report:
            inspected.append(_to_report(name, file, result))
        if isinstance(result, ImageError):
            unreadable += 1
            complain(f"onlygood: {result}")
            if options.json:
                print(json.dumps({"name": name, "error": str(result)}), flush=True)
            continue
        anomalous += result.is_anomaly
        if options.json:
            print(json.dumps(result.to_dict()), flush=True)
        else:
            word = "ANOMALOUS" if result.is_anomaly else "good"
            print(f"{name:<{width}}  {word:<9}  {result.score:>+9.4f}  {result.p_value:>8.4f}")
    if not options.json:
        noun, good = "image" if len(files) == 1 else "images", len(files) - anomalous - unreadable
        print(f"{len(files)} {noun}: {anomalous} anomalous, {good} good", end="")
        print(f", {unreadable} not readable" if unreadable else "")
    if options.report:
        _write_report(options, inspected, inspector)
    if unreadable:
        return EXIT_ERROR
    return EXIT_ANOMALY if anomalous else EXIT_GOOD


def _images_to_inspect(
    paths: Sequence[str], limits: ReadingLimits, *, heatmaps: str | None
) -> list[tuple[str, ImageFile]]:
    """Each image with its name: relative to its folder, and below the folder's path where several are given.

    Images in the folder for heat maps are left out: they are an earlier run's.
    """
    from onlygood.datasets.folders import find_images
    from onlygood.errors import FolderError

    drawn = None if heatmaps is None else Path(heatmaps).resolve()
    found = []
    for path in paths:
        prefix = Path(path) if Path(path).is_dir() else Path(path).parent
        for file in find_images(Path(path), allow_file=True, limits=limits):
            if drawn is not None and drawn in file.path.resolve().parents:
                continue
            found.append(((prefix / file.name).as_posix() if len(paths) > 1 else file.name, file))
    if not found:
        raise FolderError(f"{', '.join(paths)} must hold images beside the heat maps in {heatmaps}, got none")
    return found


def _to_report(name: str, file: ImageFile, result: Inspection | ImageError) -> InspectedImage:
    """What the report needs to know; without maps, which would add up: it computes those that it shows again."""
    from onlygood.report import InspectedImage

    if isinstance(result, ImageError):
        return InspectedImage(name=name, file=file, inspection=None, error=str(result))
    return InspectedImage(name=name, file=file, inspection=result, error=None)


def _write_report(options: argparse.Namespace, inspected: Sequence[InspectedImage], inspector: Inspector) -> None:
    from onlygood.inspector import Inspector
    from onlygood.report import write_inspection_report

    if options.heatmaps is None:  # then that of all images does without maps
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
        model_name=Path(options.model).name,
        threads=options.threads,
        progress=not options.quiet,
    )


def _write_heatmap(inspector: Inspector, inspection: Inspection, pixels: ImageArray, folder: Path) -> None:
    from onlygood._files import make_folder, write_atomically
    from onlygood.heatmap import draw_heatmap, to_png

    assert inspection.anomaly_map is not None  # the inspector was made with maps
    drawn = draw_heatmap(pixels, inspection.anomaly_map, levels=inspector.map_levels, window=inspector.window)
    # A name may be an absolute path or lead upwards; a heat map stays below its folder, apart from all others.
    parts = Path(f"{inspection.name}.png").parts
    below = ["(up)" if part == ".." else part for part in parts if part != Path(inspection.name).anchor]
    target = folder.joinpath(*below)
    make_folder(target.parent)
    write_atomically(target, to_png(drawn))
