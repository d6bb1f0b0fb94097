"""`onlygood compare`: several methods on a person's own images, and which of them to use."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from onlygood._printable import printable
from onlygood.cli.console import EXIT_GOOD, complain, say, show, show_json
from onlygood.cli.evaluate import auroc_cell
from onlygood.cli.options import add_settings, check_report, converter
from onlygood.detectors.registry import make_method, method_class
from onlygood.errors import OnlygoodError, SettingError
from onlygood.rates import format_rate
from onlygood.settings import FitSettings, MethodSettings
from onlygood.validation import requirement, unknown_names, value_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onlygood.comparison.compare import Comparison, MeasuredMethod
    from onlygood.metrics.image import Proportion

# As `onlygood.comparison.compare.DEFAULT_METHODS`, which is not imported for the sake of a help text.
DEFAULT_METHODS = ("patch", "knn", "lof", "mahalanobis")
# Settings of every fit that a comparison takes as well.
_COMMON = ("false_alarm_rate", "group_by", "threads", "seed", "max_pixels", "max_bytes")
# The setting that `--reference` is given to, of each method that has it.
_REFERENCE = "reference"


def add_options(compare: argparse.ArgumentParser) -> None:
    """The options of `onlygood compare`."""
    compare.description = (
        "Fit several methods on the same images and measure them on the same others. Exit code: 0 if at least one "
        "method was measured, 2 if none could be."
    )
    compare.add_argument(
        "data",
        metavar="DATA",
        help="a folder with train/good and test (MVTec layout), as it is; or with good/ and a folder for each defect, "
        "or a CSV file as for evaluate: a third of the good images is held out and tested with the defects; or a "
        "folder of good images alone: false alarms are measured, misses are not",
    )
    compare.add_argument(
        "--methods",
        default=",".join(DEFAULT_METHODS),
        metavar="A,B",
        help="methods, each with settings if you like: patch,knn@num_neighbors=3+metric=euclidean; several values of "
        "one setting are separated by a slash (default: %(default)s)",
    )
    compare.add_argument(
        "--reference",
        metavar="FOLDER",
        help="images of other things, in a sub-folder for each class, for methods that learn from them too (doc)",
    )
    add_settings(compare, FitSettings, *_COMMON, with_defaults=True)
    compare.add_argument("--models", metavar="FOLDER", help="keep the model files there")
    compare.add_argument("--json", action="store_true", help="everything as one JSON object on stdout")
    compare.add_argument("--report", metavar="HTML", help="write a page to look at, and a CSV file beside it")
    compare.set_defaults(command=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """`onlygood compare`."""
    methods = parse_methods(options.methods, reference=options.reference)
    if options.report:
        check_report(options.report)
    from onlygood.comparison.compare import compare

    comparison = compare(
        options.data,
        methods,  # type: ignore[arg-type]  # names, which are checked
        models=options.models,
        progress=not options.quiet,
        **{name: getattr(options, name) for name in _COMMON},
    )
    if not comparison.measured:
        reasons = "; ".join(f"{method.label}: {method.reason}" for method in comparison.failed)
        raise OnlygoodError(f"compare needs at least one method that can be measured, got none; {reasons}")
    for _, reason in comparison.unreadable:
        complain(f"onlygood: {reason}")
    for note in comparison.notes:
        say(f"note: {note}")
    for method in comparison.measured:
        for note in method.notes:
            say(f"note: {method.label}: {note}")
    if options.report:
        from onlygood.report import write_comparison_report

        write_comparison_report(options.report, comparison, data_name=Path(options.data).absolute().name)
    if options.json:
        show_json({"data": options.data, **comparison.to_dict()})
    else:
        _print(comparison, options.data)
    return EXIT_GOOD


def parse_methods(text: str, *, reference: str | None) -> list[str | MethodSettings]:
    """The methods of a command line: names for those without settings, settings for the others.

    Args:
        text: such as `patch,knn@num_neighbors=3+metric=euclidean`.
        reference: given to each method that has such a setting.

    Raises:
        SettingError: a method or setting that does not exist, or a value that cannot be used.
    """
    found: list[str | MethodSettings] = []
    takes_reference = False
    for part in (part.strip() for part in text.split(",")):
        name, at, rest = part.partition("@")
        kind = method_class(name)
        given = _settings(kind, rest, part) if at else {}
        if reference is not None and _REFERENCE in kind.model_fields:
            given[_REFERENCE], takes_reference = reference, True
        found.append(make_method(name, **given) if given else name)
    if reference is not None and not takes_reference:
        raise SettingError(
            "--reference goes with a method that learns from other things, such as doc, got none of them"
        )
    return found


def _settings(kind: type[MethodSettings], text: str, whole: str) -> dict[str, Any]:
    """The values of `num_neighbors=3+metric=euclidean`, each of the type of its setting."""
    given: dict[str, Any] = {}
    for part in text.split("+"):
        name, equals, value = part.partition("=")
        name = name.strip().replace("-", "_")
        if not (name and equals and value):
            raise SettingError(
                f"the settings of a method must be like knn@num_neighbors=3+metric=euclidean, got {whole!r}: give each "
                "its value"
            )
        known = [field for field in kind.model_fields if field != _REFERENCE]
        if name not in known:
            raise SettingError(unknown_names(kind.subject, [name], known))
        given[name] = _value(kind, name, value.strip())
    return given


def _value(kind: type[MethodSettings], name: str, text: str) -> Any:
    field = kind.model_fields[name]
    if value_type(field) is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    else:
        try:
            # Commas separate methods.
            return converter(field)(text.replace("/", ",") if get_origin(value_type(field)) is tuple else text)
        except (ValueError, argparse.ArgumentTypeError):
            pass
    raise SettingError(f"{name} of method {kind.name} must be {requirement(field)}, got {text!r}")


def _print(comparison: Comparison, data: str) -> None:
    show(f"{data}: {comparison.split}")
    show()
    for line in _table(comparison):
        show(line.rstrip())
    show()
    for sentence in comparison.recommendation.sentences:
        show(sentence)


def _table(comparison: Comparison) -> list[str]:
    """Lines of aligned columns; a column that would be empty is left out."""
    measured = comparison.measured
    columns: dict[str, list[str]] = {
        "": [printable(method.label) for method in measured],
        "AUROC": [auroc_cell(method.evaluation.image.auroc) for method in measured],
        "missed": [_proportion_cell(method.evaluation.image.misses) for method in measured],
        "false alarms": [_proportion_cell(method.evaluation.image.false_alarms) for method in measured],
        "stated rate": [_stated(method) for method in measured],
        "pixel AUROC": [_pixel(method, "pixel_auroc") for method in measured],
        "AUPRO": [_pixel(method, "aupro") for method in measured],
        "fit": [f"{method.fit_seconds:.1f} s" for method in measured],
        "image": [f"{method.latency_ms:.1f} ms" for method in measured],
        "file": [f"{method.megabytes:.1f} MB" for method in measured],
    }
    columns = {name: cells for name, cells in columns.items() if any(cell != "-" for cell in cells)}
    right = ("fit", "image", "file")
    first = max(len(label) for label in (*columns[""], *(printable(method.label) for method in comparison.failed)))
    widths = {name: max([len(name), *map(len, cells)]) for name, cells in columns.items()} | {"": first}

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(widths[name]) if name in right else cell.ljust(widths[name])
            for name, cell in zip(columns, cells, strict=True)
        )

    lines = [line(list(columns))]
    lines += [line(row) for row in zip(*columns.values(), strict=True)]
    lines += [f"{printable(method.label):<{first}}  not measured: {method.reason}" for method in comparison.failed]
    return lines


def _proportion_cell(share: Proportion | None) -> str:
    return "-" if share is None else f"{share.events}/{share.trials} ({share.low:.3f}-{share.high:.3f})"


def _pixel(method: MeasuredMethod, name: str) -> str:
    pixel = method.evaluation.pixel
    return "-" if pixel is None else f"{getattr(pixel.metrics, name):.3f}"


def _stated(method: MeasuredMethod) -> str:
    """The rate that is guaranteed or estimated, and what the good images say of it."""
    stated, check = method.guarantee, method.evaluation.guarantee
    rate = f"at most {format_rate(stated.stated_rate)}" if stated.is_guaranteed else f"about {stated.stated_rate:g}"
    if check is None:
        return f"{rate}, not checked"
    verdict = {"contradicted": "CONTRADICTED", "consistent": "not contradicted"}.get(check.verdict, check.verdict)
    return f"{rate}, {verdict}"
