"""`onlygood audit`: what among good images needs a decision before a fit."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from onlygood.cli.console import EXIT_ANOMALY, EXIT_GOOD, say, show, show_json
from onlygood.cli.options import PATHS_HELP, add_settings, check_report, given_paths, given_settings, name_of_paths
from onlygood.settings import FitSettings

if TYPE_CHECKING:
    from onlygood.auditing.audit import Audit

# As `onlygood.auditing.examination.MOST_LEFT_OUT`, which is not imported for a help text alone.
MOST_LEFT_OUT = 1500
# Findings of one kind that are printed.
_SHOWN = 5
_SETTINGS = ("group_by", "exclude", "max_pixels", "max_bytes", "threads", "seed")


def add_options(audit: argparse.ArgumentParser) -> None:
    """The options of `onlygood audit`."""
    audit.description = (
        "Look at good images before a fit: unreadable, blurred, badly exposed and odd ones, those that leave-one-out "
        "calls anomalous, near-duplicates, and sessions that differ. Exit code: 0 if nothing needs a decision, 1 if "
        "something does, 2 on an error."
    )
    audit.add_argument("images", metavar="GOOD", nargs="+", help=f"good {PATHS_HELP}")
    audit.add_argument(
        "-o", "--output", metavar="LIST", help="write the names of images to leave out, for fit --exclude @LIST"
    )
    audit.add_argument("--report", metavar="HTML", help="write a page with the images, and a CSV beside it")
    audit.add_argument("--json", action="store_true", help="print what was found as JSON")
    audit.add_argument(
        "--max-left-out",
        type=int,
        default=MOST_LEFT_OUT,
        metavar="N",
        help="most images that are scored by a detector without each of them, evenly spaced; 0 for none (default: "
        f"{MOST_LEFT_OUT})",
    )
    add_settings(audit, FitSettings, *_SETTINGS)
    audit.set_defaults(command=run_audit)


def run_audit(options: argparse.Namespace) -> int:
    """`onlygood audit`."""
    from onlygood._files import check_writable, write_atomically
    from onlygood.auditing.audit import audit

    if options.output:
        check_writable(options.output)
    if options.report:
        check_report(options.report)
    found = audit(
        given_paths(options.images),
        max_left_out=options.max_left_out,
        progress=not options.quiet,
        **given_settings(options, FitSettings),
    )
    for note in found.notes:
        say(f"note: {note}")
    if options.output:
        listed = [name for name in found.exclude if name.splitlines() == [name.strip()]]
        if len(listed) < len(found.exclude):
            unlisted = next(name for name in found.exclude if name not in listed)
            say(f"note: a list has one name a line, so that {unlisted!r} cannot stand in it: rename the image")
        write_atomically(options.output, "".join(f"{name}\n" for name in listed).encode("utf-8", "surrogateescape"))
    if options.report:
        from onlygood.report import write_audit_report

        write_audit_report(
            options.report,
            found,
            data_name=name_of_paths(options.images),
            threads=getattr(options, "threads", 0),
            progress=not options.quiet,
        )
    if options.json:
        show_json(found.to_dict())
    else:
        _show(found, options.output)
    return EXIT_ANOMALY if found.needs_decision else EXIT_GOOD


def _show(found: Audit, written: str | None) -> None:
    """The findings by kind, and what to do."""
    from onlygood._plurals import name_some, pluralize
    from onlygood.auditing.findings import TITLES

    for kind, title in TITLES.items():
        findings = found.of_kind(kind)
        if not findings:
            continue
        images = len({name for each in findings for name in each.images})
        show(
            f"{title}: {pluralize(images, 'image')}" + (f" in {len(findings):,} findings" if len(findings) > 1 else "")
        )
        for each in findings[:_SHOWN]:
            named = each.session is not None or (len(each.images) == 1 and each.images[0] in each.sentence)
            show(f"  {each.sentence}" if named else f"  {name_some(each.images, 2)}: {each.sentence}")
        if len(findings) > _SHOWN:
            show(f"  and {len(findings) - _SHOWN:,} more")
    decisions = sum(each.needs_decision for each in found.findings)
    looked_at = f"{found.images:,} images looked at"
    if not decisions:
        show(f"{looked_at}: nothing needs a decision")
    else:
        leave_out = f"{pluralize(len(found.exclude), 'image')} to leave out, perhaps"
        show(f"{looked_at}: {pluralize(decisions, 'finding')} to decide on, {leave_out}")
    if written is not None:
        show(f"{written}: {pluralize(len(found.exclude), 'name')}, for fit --exclude @{written}")
