"""From the settings of a fit to options of a command: same names, same defaults, same help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import MISSING, Field
from typing import TYPE_CHECKING, Any, TypeAlias

from onlygood.cli.values import rate
from onlygood.settings import AUGMENT, setting_fields

if TYPE_CHECKING:
    from onlygood.images.reading import ReadingLimits
    from onlygood.inspector import Inspector

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """One option for each setting of a fit, or for those named."""
    augmentation = None if names else parser.add_argument_group("augmentation, with --augment or --golden")
    for name, entry in setting_fields().items():
        if not names or name in names:
            _add_setting(augmentation if augmentation and name.startswith(AUGMENT) else parser, name, entry)


def chosen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The values of FitSettings' fields on a command line that has them all."""
    return {name: getattr(options, name) for name in setting_fields()}


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a model over images."""
    parser.add_argument("--provider", default="cpu", help="hardware: cpu, or another that ONNX Runtime has")
    parser.add_argument("--threads", type=int, default=0, help="images worked on at once; 0 for one a core")
    add_settings(parser, "max_pixels", "max_bytes")


def add_false_alarm_rate(parser: argparse.ArgumentParser) -> None:
    """The option of commands that run a model at another rate than its own."""
    parser.add_argument(
        "--false-alarm-rate",
        type=rate,
        metavar="RATE",
        help="use the threshold that the calibration scores in the model give at this rate, such as 0.05 or 5%%, for "
        "this run; the model file stays as it is (default: the threshold in the file)",
    )


def rate_sentences(inspector: Inspector) -> list[str]:
    """What is to be said of a run at another rate than the model's own: the rate, and what is guaranteed."""
    from onlygood.guarantee import guarantee_of

    guarantee = guarantee_of(inspector.metadata)
    former = inspector.metadata["recalibrations"][-1]["requested_rate_before"]
    return [
        f"This run uses the threshold for a false-alarm rate of {guarantee.requested_rate:g}; the model file, which "
        f"asks for {former:g}, stays as it is.",
        *guarantee.sentences[:-1],
    ]


def chosen_limits(options: argparse.Namespace) -> ReadingLimits:
    """The bounds on images on a command line that has them."""
    from onlygood.images.reading import ReadingLimits

    return ReadingLimits(max_pixels=options.max_pixels, max_bytes=options.max_bytes)


def check_report(path: str) -> None:
    """Refuse a report that could not be written, before hours of work end in front of it."""
    from onlygood._files import check_writable
    from onlygood.report import report_paths

    for each in report_paths(path):
        check_writable(each)


def _add_setting(parser: argparse._ActionsContainer, name: str, entry: Field[Any]) -> None:
    """One option from one field of settings: same name, same default, same help."""
    default = None if entry.default is MISSING else entry.default
    text = entry.metadata["help"].replace("%", "%%")
    flag = "--" + name.replace("_", "-")
    if entry.type == "bool":
        parser.add_argument(flag, action="store_true", default=default, help=text)
        return
    shown = "" if default is None else f" (default: {default})"
    parser.add_argument(
        flag,
        default=default,
        type=_CONVERTERS[str(entry.type)],
        choices=entry.metadata.get("choices"),
        metavar=None if "choices" in entry.metadata else entry.name.upper(),
        help=text + shown,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be two levels such as 0,4095, got {text!r}") from error


_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "str | None": str,
    "float": float,
    "float | None": float,
    "int": int,
    "int | None": int,
    "tuple[str, ...] | None": _names,
    "tuple[float, float] | None": _levels,
}
