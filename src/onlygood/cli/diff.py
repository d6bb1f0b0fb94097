"""`onlygood diff`: which verdicts flip between two models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from onlygood._printable import printable
from onlygood.cli.console import EXIT_ANOMALY, EXIT_ERROR, EXIT_GOOD, complain, say, show, show_json
from onlygood.cli.options import (
    PATHS_HELP,
    add_false_alarm_rate,
    add_running_options,
    check_report,
    chosen_limits,
    given_paths,
)
from onlygood.cli.trust import add_model_options

if TYPE_CHECKING:
    from onlygood.model_diff.diff_result import Diff, DiffedImage

# Lines of the table; --csv, --json and --report have every image.
LISTED = 50
# Of the longest name in the table that the others are padded to.
_NAME_WIDTH = 60
# Of two values that stand in one line, the most characters.
_BESIDE = 80


def add_options(diff: argparse.ArgumentParser) -> None:
    """The options of `onlygood diff`."""
    diff.description = (
        "Inspect the same images with two models, and say which verdicts flip and in what the two files differ. Exit "
        "code: 0 if no verdict flips, 1 if one does, 2 on an error."
    )
    diff.add_argument("old", metavar="OLD", help="the model file that is in use")
    diff.add_argument("new", metavar="NEW", help="the model file that is to take its place")
    diff.add_argument("images", metavar="IMAGES", nargs="+", help=PATHS_HELP)
    diff.add_argument(
        "--labelled",
        action="store_true",
        help="IMAGES is a folder with good/ and a folder for each defect, or a CSV file, as for evaluate: say which "
        "flips are right",
    )
    form = diff.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything as one JSON object on stdout")
    form.add_argument("--csv", action="store_true", help="a header and a row an image on stdout, nothing else there")
    diff.add_argument("--report", metavar="HTML", help="write a page to look at, and a CSV file beside it")
    add_false_alarm_rate(diff)
    add_running_options(diff)
    add_model_options(diff)
    diff.set_defaults(command=run_diff)


def run_diff(options: argparse.Namespace) -> int:
    """`onlygood diff`."""
    from onlygood.model_diff.diff import diff

    if options.report:
        check_report(options.report)
    limits = chosen_limits(options)
    found = diff(
        options.old,
        options.new,
        given_paths(options.images),
        labelled=options.labelled,
        false_alarm_rate=options.false_alarm_rate,
        provider=options.provider,
        threads=options.threads,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        progress=not options.quiet,
    )
    for each in found.refused:
        complain(f"onlygood: {each.name} is {each.sentence}")
    for note in found.notes:
        say(f"note: {note}")
    if options.report:
        _write_report(options, found)
    if options.json:
        show_json(found.to_dict())
    elif options.csv:
        _show_csv(found)
    else:
        _print(found)
    if found.refused:
        return EXIT_ERROR
    return EXIT_ANOMALY if found.flips else EXIT_GOOD


def _write_report(options: argparse.Namespace, found: Diff) -> None:
    from onlygood.inspector import Inspector
    from onlygood.report import write_diff_report

    old, new = (
        Inspector(
            path,
            false_alarm_rate=options.false_alarm_rate,
            provider=options.provider,
            threads=1,
            max_pixels=options.max_pixels,
            max_bytes=options.max_bytes,
            max_model_bytes=options.max_model_bytes,
        )
        for path in (options.old, options.new)
    )
    write_diff_report(options.report, found, old, new, threads=options.threads, progress=not options.quiet)


def _show_csv(found: Diff) -> None:
    from onlygood._csv import csv_line
    from onlygood.model_diff.rows import COLUMNS, rows_of

    show(csv_line(COLUMNS))
    for row in rows_of(found):
        show(csv_line(row))


def _print(found: Diff) -> None:
    show(f"{found.old_name} -> {found.new_name}")
    for sentence in found.sentences:
        show(sentence)
    if found.facts:
        show()
        show("What differs between the files:")
        width = max(len(fact.label) for fact in found.facts)
        for fact in found.facts:
            old, new = (printable("none" if value is None else value) for value in (fact.old, fact.new))
            if len(old) + len(new) <= _BESIDE:
                show(f"  {fact.label:<{width}}  {old} -> {new}")
            else:
                show(f"  {fact.label:<{width}}  {old}")
                show(f"  {'':<{width}}  -> {new}")
    if not found.flips:
        return
    listed = found.flips[:LISTED]
    width = min(_NAME_WIDTH, max(len("image"), *(len(printable(each.name)) for each in listed)))
    show()
    label = "  label" if found.is_labelled else ""
    show(f"{'image':<{width}}  {'old':<9}  {'new':<9}  {'relative score':>18}  {'p-value':>18}{label}")
    for each in listed:
        show(_line(each, width))
    more = len(found.flips) - len(listed)
    if more:
        show(f"{more:,} more flip: --csv, --json and --report have them.")


def _line(each: DiffedImage, width: int) -> str:
    words = ["ANOMALOUS" if verdict.is_anomaly else "good" for verdict in (each.old, each.new)]
    relative = " -> ".join(
        "-" if verdict.relative_score is None else f"{verdict.relative_score:+.2f}" for verdict in (each.old, each.new)
    )
    p_values = f"{each.old.p_value:.4f} -> {each.new.p_value:.4f}"
    label = "" if each.labelled is None else f"  {printable(each.labelled.defect)}"
    return f"{printable(each.name):<{width}}  {words[0]:<9}  {words[1]:<9}  {relative:>18}  {p_values:>18}{label}"
