"""`onlygood fit`: from a folder of good images to a model file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from onlygood.cli.console import EXIT_GOOD, note_other_files, say
from onlygood.cli.options import add_settings, check_report, chosen_limits, chosen_settings
from onlygood.errors import SettingError, WriteError
from onlygood.settings import TRAINED_METHODS

if TYPE_CHECKING:
    from onlygood.cli.options import Commands
    from onlygood.model import Model


def add_command(commands: Commands) -> argparse.ArgumentParser:
    """The parser of `onlygood fit`."""
    fit = commands.add_parser("fit", help="learn what good looks like", description="Learn what good looks like.")
    fit.add_argument(
        "images",
        metavar="GOOD",
        help="folder of good images, searched with its sub-folders; with --golden also one image",
    )
    fit.add_argument("-o", "--output", required=True, metavar="MODEL", help="the model file to write (.onnx)")
    fit.add_argument("--report", metavar="HTML", help="write a page on what was learned, and a CSV file beside it")
    fit.add_argument(
        "--show-augmentations",
        metavar="PNG",
        help="with --augment or --golden: draw what is being called good",
    )
    fit.add_argument(
        "--reference", metavar="FOLDER", help="with --method doc: images of other things, one sub-folder a class"
    )
    fit.add_argument(
        "--resume", action="store_true", help="go on with a training that was interrupted, of the same line"
    )
    add_settings(fit)
    fit.set_defaults(command=run_fit)
    return fit


def run_fit(options: argparse.Namespace) -> int:
    """`onlygood fit`."""
    from onlygood._files import check_writable

    check_writable(options.output)
    if options.report:
        check_report(options.report)
    if options.show_augmentations:
        _show_augmentations(options)
    model = _fit_and_save(options)
    if options.report:
        from onlygood.report import write_fit_report

        write_fit_report(options.report, model, model_name=Path(options.output).name)
    note_other_files([options.images])
    for note in model.notes:
        say(f"note: {note}")
    size = len(model.file.content) / 1e6
    print(f"{options.output}: learned from {model.guarantee.learned_from}, {size:.1f} MB")
    for sentence in model.guarantee.sentences:
        print(sentence)
    print(model.deciding)
    if options.verbose:
        say(json.dumps(model.metadata, indent=2))
    return EXIT_GOOD


def _fit_and_save(options: argparse.Namespace) -> Model:
    """The model; until it is saved, what a training has reached is kept beside the model file to be."""
    from onlygood.fitting import fit

    checkpoint = Path(f"{options.output}.training")
    is_trained = options.method in TRAINED_METHODS
    before = _written_at(checkpoint)
    try:
        model = fit(
            options.images,
            reference=options.reference,
            progress=not options.quiet,
            checkpoint=checkpoint if is_trained else None,
            resume=options.resume,
            **chosen_settings(options),
        )
        model.save(options.output)
    except (KeyboardInterrupt, WriteError):
        # One of before counts only if this line was to go on from it.
        if is_trained and _written_at(checkpoint) and (options.resume or _written_at(checkpoint) != before):
            say(f"{checkpoint} holds what was trained so far: the same line with --resume goes on from it")
        raise
    if is_trained:
        checkpoint.unlink(missing_ok=True)
    return model


def _written_at(path: Path) -> int | None:
    """When a file was last written, in nanoseconds; None if there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def _show_augmentations(options: argparse.Namespace) -> None:
    """Draw the sheet before the fit, so that it can be looked at meanwhile."""
    from onlygood._files import write_atomically
    from onlygood.datasets.sources import list_sources
    from onlygood.heatmap import to_png
    from onlygood.report.contact_sheet import augmentation_sheet
    from onlygood.settings import make_settings

    settings = make_settings(**chosen_settings(options))
    if settings.augment is None:
        raise SettingError("--show-augmentations goes with --augment or --golden, got it without: add one of them")
    sources = list_sources(
        options.images, group_by=None, groups=None, limits=chosen_limits(options), allow_one=settings.golden
    )
    write_atomically(options.show_augmentations, to_png(augmentation_sheet(sources, settings)))
