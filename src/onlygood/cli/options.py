"""From the settings of a fit to options of a command: same names, same defaults, same help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

from pydantic.fields import FieldInfo

from onlygood.cli.values import rate
from onlygood.errors import SettingError
from onlygood.settings import FitSettings
from onlygood.validation import Settings, is_share, metavar, value_type

if TYPE_CHECKING:
    from onlygood.images.reading import ReadingLimits
    from onlygood.inspector import Inspector

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]


STANDARD_INPUT = "-"
# What is said of an option whose values `given_paths` takes.
PATHS_HELP = "folders, images, ZIP archives, patterns, lists (.txt), or - for a list on standard input"


def add_settings(
    parser: argparse._ActionsContainer,
    kind: type[Settings],
    *names: str,
    prefix: str = "",
    is_shown: bool = True,
    with_defaults: bool = False,
) -> None:
    """One option for each setting, or for those named.

    Args:
        parser: or a group of it.
        kind: whose settings they are.
        *names: of some of them; all unless given.
        prefix: of the options' names.
        is_shown: in the help.
        with_defaults: put the defaults of what is not given into the namespace; else it is not there.
    """
    for name, field in kind.model_fields.items():
        if not names or name in names:
            _add_setting(parser, prefix + name, field, is_shown=is_shown)
            if with_defaults:
                parser.set_defaults(**{prefix + name: field.default})


def given_settings(options: argparse.Namespace, kind: type[Settings], *, prefix: str = "") -> dict[str, Any]:
    """The values of those of a class's settings that were given on a command line."""
    named = ((name, prefix + name) for name in kind.model_fields)
    return {name: getattr(options, option) for name, option in named if hasattr(options, option)}


def add_running_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs a model over images."""
    parser.add_argument("--provider", default="cpu", help="hardware: cpu, or another that ONNX Runtime has")
    parser.add_argument("--threads", type=int, default=0, help="images worked on at once; 0 for one a core")
    add_settings(parser, FitSettings, "max_pixels", "max_bytes", with_defaults=True)


def given_paths(values: Sequence[str]) -> str | list[str]:
    """The paths on a command line, with those on standard input where `-` stands; one alone as it is.

    Raises:
        FolderError: `-` is there, and standard input is closed or lists nothing.
        SettingError: `-` is there more than once.
    """
    if STANDARD_INPUT not in values:
        return values[0] if len(values) == 1 else list(values)
    if values.count(STANDARD_INPUT) > 1:
        raise SettingError(f"paths can be read from standard input once, got {STANDARD_INPUT} twice: leave one out")
    from onlygood.datasets.given import paths_in_list

    listed = paths_in_list(sys.stdin.buffer.read(), "standard input")
    at = values.index(STANDARD_INPUT)
    return [*values[:at], *listed, *values[at + 1 :]]


def name_of_paths(values: Sequence[str]) -> str:
    """What a page calls the images at these paths."""
    first = Path(values[0]).name or values[0]
    return first if len(values) == 1 else f"{first} and {len(values) - 1} more"


def add_false_alarm_rate(parser: argparse.ArgumentParser) -> None:
    """The option of commands that run a model at another rate than its own."""
    parser.add_argument(
        "--false-alarm-rate",
        type=rate,
        metavar="RATE",
        help="use the threshold that the calibration scores in the model give at this rate, such as 0.05 or 5%%, for "
        "this run; the model file stays as it is (default: the threshold in the file)",
    )


def add_threshold(
    parser: argparse._ActionsContainer, *, stays: str = "for this run; the model file stays as it is"
) -> None:
    """The option of commands that put another threshold in the place of a model's own."""
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="call anomalous what has more than this score of the model, whose own threshold is at 0, and say what "
        f"that means for good images; {stays}",
    )


def rate_sentences(inspector: Inspector) -> list[str]:
    """What is to be said of a run at another rate or threshold than the model's own, and what is guaranteed."""
    guarantee = inspector.metadata.guarantee
    last = inspector.metadata.recalibrations[-1]
    if guarantee.rule == "given":
        moved = inspector.metadata.calibration.threshold - last.threshold_before
        return [
            f"This run uses a threshold at score {moved:+.4g} of the model file, which stays as it is; scores are "
            "relative to it.",
            *guarantee.sentences[:-1],
        ]
    former = last.requested_rate_before
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
    """Refuse a report that could not be written, before long work begins."""
    from onlygood._files import check_writable
    from onlygood.report import report_paths

    for each in report_paths(path):
        check_writable(each)


def _add_setting(parser: argparse._ActionsContainer, name: str, field: FieldInfo, *, is_shown: bool = True) -> None:
    """One option from one field of settings: same name, same default, same help."""
    text, kind = (field.description or "").replace("%", "%%"), value_type(field)
    if field.default is not None and kind is not bool:
        text += f" (default: {field.default})"
    if not is_shown:
        text = argparse.SUPPRESS
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=text)
        return
    choices = get_args(kind) if get_origin(kind) is Literal else None
    parser.add_argument(
        flag,
        default=argparse.SUPPRESS,
        type=str if choices else converter(field),
        choices=choices,
        metavar=None if choices else metavar(field) or name.rsplit("_", 1)[-1].upper(),
        help=text,
    )


def converter(field: FieldInfo) -> Callable[[str], Any]:
    """From the text of an option to a value of a field's type."""
    kind = value_type(field)
    if get_origin(kind) is tuple:
        if get_args(kind)[-1] is not Ellipsis:
            return _levels
        element = get_args(kind)[0]
        # Of Annotated[int, ...] the first argument is the type.
        return _whole_numbers if next(iter(get_args(element)), element) is int else _names
    if kind is float and is_share(field):
        return rate
    return kind if kind in (int, float) else str


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be whole numbers such as 256,512, got {text!r}") from error


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be two levels such as 0,4095, got {text!r}") from error
