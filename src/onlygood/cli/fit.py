"""`onlygood fit`: from a folder of good images to a model file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onlygood._ending import before_ending
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.cli.console import EXIT_GOOD, say, say_json, show
from onlygood.cli.options import PATHS_HELP, add_settings, check_report, given_paths, given_settings
from onlygood.cli.parser import Parser
from onlygood.detectors.registry import make_method, method_class, method_names, methods
from onlygood.errors import SettingError, WriteError
from onlygood.settings import FitSettings, MethodSettings
from onlygood.validation import one_of

if TYPE_CHECKING:
    from onlygood.model import Model

DEFAULT_METHOD = "patch"
HELP_ALL = "--help-all"
# What the options of augmentation begin with.
AUGMENT = "augment_"
# Groups of the common options; all others are about the images.
_THRESHOLD = ("false_alarm_rate", "threshold_rule", "calibration", "calibration_fraction")
_APART = ("group_by", "near_duplicates")
_MORE = ("golden", "augment", "rotations", "sizes")
_RUNNING = ("threads", "seed")
_IMAGES = ("exclude", "skip_unreadable", "channels", "window", "max_pixels", "max_bytes")
_LOOKED_AT = ("alpha", "tiles", "align", "align_degrees")
# Those that few people need: `--help-all` shows them.
_SELDOM = (
    *("calibration_fraction", "near_duplicates", "channels", "window", "max_pixels", "max_bytes", "align_degrees"),
    *("sizes", "threads", "seed"),
)


def add_options(fit: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """The options of `onlygood fit`, with the options of the method that the arguments name.

    Args:
        fit: the parser of the command.
        arguments: of the command line.
    """
    named, is_augmented = _look_ahead(arguments)
    method = named or DEFAULT_METHOD
    fit.description = "Learn what good looks like."
    fit.usage = "onlygood fit [options] -o MODEL GOOD [GOOD ...]"
    fit.epilog = (
        "`onlygood methods` says what each method is for; `onlygood fit --method knn --help` shows the options "
        "of that one beside these, `onlygood fit --golden --help` those of augmentation, `onlygood fit --help-all` "
        "some more."
    )
    is_all = HELP_ALL in arguments
    fit.add_argument(HELP_ALL, action="help", help="show this message with the options that few people need, and exit")
    fit.add_argument(
        "images",
        metavar="GOOD",
        nargs="+",
        help=f"good {PATHS_HELP}",
    )
    fit.add_argument("-o", "--output", required=True, metavar="MODEL", help="the model file to write (.onnx)")
    fit.add_argument("--report", metavar="HTML", help="write a page on what was learned, and a CSV beside it")
    fit.add_argument(
        "--method",
        default=DEFAULT_METHOD,
        metavar="METHOD",
        help=f"the detector: {', '.join(method_names())} (default: {DEFAULT_METHOD})",
    )
    _add_shown(fit.add_argument_group("threshold"), _THRESHOLD, is_all=is_all)
    together = fit.add_argument_group("which images belong together")
    _add_shown(together, _APART, is_all=is_all)
    together.add_argument(
        "--product-by",
        metavar="REGEX",
        help="several products: a model each into the folder -o; 'folder' (the sub-folder) or a regular expression",
    )
    _add_shown(fit.add_argument_group("which images, and how they are read"), _IMAGES, is_all=is_all)
    looked_at = fit.add_argument_group("what of an image is looked at")
    looked_at.add_argument(
        "--roi", metavar="FILE", help="region of interest: an image, white where to look, or polygons and boxes (JSON)"
    )
    _add_shown(looked_at, _LOOKED_AT, is_all=is_all)
    looked_at.add_argument(
        "--align-to", metavar="IMAGE", help="the golden sample; the most typical good image unless given"
    )
    augmentation = fit.add_argument_group("few images, or parts at any angle")
    _add_shown(augmentation, _MORE, is_all=is_all)
    augmentation.add_argument(
        "--show-augmentations",
        metavar="PNG",
        help=_if_shown("with --augment or --golden: draw what is being called good", is_all or is_augmented),
    )
    running = fit.add_argument_group("running")
    _add_shown(running, _RUNNING, is_all=is_all)
    trains = method in method_names() and method_class(method).trains
    running.add_argument(
        "--resume",
        action="store_true",
        help=_if_shown("go on with a training that was interrupted, of the same line", is_all or trains),
    )
    ranges = fit.add_argument_group("augmentation, with --augment or --golden")
    add_settings(ranges, AugmentationSettings, prefix=AUGMENT, is_shown=is_augmented)
    kind = method_class(method) if method in method_names() else None
    if kind is not None:
        group = fit.add_argument_group(f"method {method}", kind.summary if named else None)
        add_settings(group, kind, is_shown=named is not None)
    if isinstance(fit, Parser):
        fit.explain = lambda option: _whose(option, method)
    fit.set_defaults(command=run_fit, method_class=kind)


def _if_shown(text: str, is_shown: bool) -> str:
    return text if is_shown else argparse.SUPPRESS


def _add_shown(group: argparse._ArgumentGroup, names: Sequence[str], *, is_all: bool) -> None:
    """Options of settings, shown in the help unless few people need them."""
    for name in names:
        add_settings(group, FitSettings, name, is_shown=is_all or name not in _SELDOM)


def run_fit(options: argparse.Namespace) -> int:
    """`onlygood fit`."""
    from onlygood._files import check_writable

    options.images_given = given_paths(options.images)
    if options.method_class is None:
        method_class(options.method)  # refuses it
    method = make_method(options.method, **given_settings(options, options.method_class))
    common = given_settings(options, FitSettings)
    ranges = given_settings(options, AugmentationSettings, prefix=AUGMENT)
    if ranges:
        common["augmentation"] = _augmentation(ranges)
    if ranges and not (common.get("golden") or "augment" in common):
        raise SettingError(
            "options that begin with --augment- go with --augment or --golden, got them without: add one of these, or "
            "leave those out"
        )
    if options.product_by is not None:
        from onlygood.cli.products import fit_into_set

        return fit_into_set(options, method, common)
    check_writable(options.output)
    if options.report:
        check_report(options.report)
    if options.show_augmentations:
        _show_augmentations(options, FitSettings(**common).resolved(method))
    model = _fit_and_save(options, method, common)
    if options.report:
        from onlygood.report import write_fit_report

        write_fit_report(options.report, model, model_name=Path(options.output).name)
    for note in model.notes:
        say(f"note: {note}")
    size = len(model.file.content) / 1e6
    show(f"{options.output}: learned from {model.guarantee.learned_from}, {size:.1f} MB")
    for sentence in model.guarantee.sentences:
        show(sentence)
    show(model.deciding)
    if options.verbose:
        say_json(model.metadata.to_dict())
    return EXIT_GOOD


def _whose(option: str, method: str) -> str:
    """Which other methods have an option, to stand behind a sentence; nothing where none has."""
    name = option.removeprefix("--").replace("-", "_")
    others = [kind.name for kind in methods() if name in kind.model_fields]
    return f" with method {method}: it goes with --method {one_of(others)}" if others else ""


def _look_ahead(arguments: Sequence[str]) -> tuple[str | None, bool]:
    """The method that the arguments name, and whether they ask for augmentations, before they are parsed."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--method")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--augment")
    try:
        found, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:  # an option without its value, which the whole parser refuses
        return None, False
    return found.method, found.golden or found.augment is not None


def _augmentation(ranges: dict[str, Any]) -> AugmentationSettings:
    """The ranges of augmentations; what is wrong with them is said by the names of the options."""
    try:
        return AugmentationSettings(**ranges)
    except SettingError as error:  # its sentence begins with the name of the field
        raise SettingError(f"{AUGMENT}{error}") from error


def _fit_and_save(options: argparse.Namespace, method: MethodSettings, common: dict[str, Any]) -> Model:
    """The model; until it is saved, what a training has reached is kept beside the model file to be."""
    from onlygood.fitting import fit

    checkpoint = Path(f"{options.output}.training")
    before = _written_at(checkpoint)

    def say_how_to_go_on() -> None:
        # One of before counts only if this line was to go on from it.
        if method.trains and _written_at(checkpoint) and (options.resume or _written_at(checkpoint) != before):
            say(f"{checkpoint} holds what was trained so far: the same line with --resume goes on from it")

    try:
        with before_ending(say_how_to_go_on):
            model = fit(
                options.images_given,
                method=method,
                progress=not options.quiet,
                roi=options.roi,
                checkpoint=checkpoint if method.trains else None,
                resume=options.resume,
                align_to=options.align_to,
                **common,
            )
            model.save(options.output)
    except (KeyboardInterrupt, WriteError):
        say_how_to_go_on()
        raise
    if method.trains:
        checkpoint.unlink(missing_ok=True)
    return model


def _written_at(path: Path) -> int | None:
    """When a file was last written, in nanoseconds; None if there is none."""
    return path.stat().st_mtime_ns if path.exists() else None


def _show_augmentations(options: argparse.Namespace, settings: FitSettings) -> None:
    """Draw the sheet before the fit, so that it can be looked at meanwhile."""
    from onlygood._files import write_atomically
    from onlygood.datasets.sources import list_sources, reading_limits
    from onlygood.heatmap import to_png
    from onlygood.report.contact_sheet import augmentation_sheet

    if settings.augment is None:
        raise SettingError("--show-augmentations goes with --augment or --golden, got it without: add one of them")
    limits = reading_limits(settings)
    sources = list_sources(
        options.images_given, group_by=None, groups=None, limits=limits, allow_one=settings.golden
    ).sources
    write_atomically(options.show_augmentations, to_png(augmentation_sheet(sources, settings)))
