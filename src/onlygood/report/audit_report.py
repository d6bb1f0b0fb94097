"""The report of an audit: what among good images needs a decision before a fit, with the images to decide on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from onlygood._parallel import map_in_order
from onlygood._progress import track
from onlygood.auditing.audit import Audit
from onlygood.auditing.findings import RULES, TITLES, Finding, FindingKind
from onlygood.errors import ImageError
from onlygood.report.facts import machine_sentence
from onlygood.report.pages import report_paths, write_report
from onlygood.thumbnails import Thumbnail, draw_thumbnails

# Findings of one kind, images of one finding, and names to leave out that the page shows; the CSV file has all.
SHOWN = 60
SHOWN_OF_ONE = 12
LISTED = 200
COLUMNS = ("kind", "image", "session", "finding", "needs_decision", "excludes")
_LONG_SIDE = 192


@dataclass(frozen=True)
class ShownImage:
    """An image of a finding.

    Attributes:
        name: of the image.
        thumbnail: None if it cannot be read.
    """

    name: str
    thumbnail: Thumbnail | None


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its images.

    Attributes:
        finding: what was found.
        images: some of its images.
    """

    finding: Finding
    images: Sequence[ShownImage]

    @property
    def more(self) -> int:
        """How many of its images are not shown."""
        return len(self.finding.images) - len(self.images)


@dataclass(frozen=True)
class Kind:
    """All findings of one kind.

    Attributes:
        name: of the kind, as an anchor.
        title: what its images are called.
        rule: by which they are found.
        findings: how many there are.
        images: how many images they name.
        shown: the first of them.
    """

    name: str
    title: str
    rule: str
    findings: int
    images: int
    shown: Sequence[ShownFinding]

    @property
    def singles(self) -> list[ShownFinding]:
        """Those about one image, which are shown as cards."""
        return [each for each in self.shown if len(each.finding.images) == 1]

    @property
    def sets(self) -> list[ShownFinding]:
        """Those about several, which are shown in a row each."""
        return [each for each in self.shown if len(each.finding.images) > 1]

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.findings - len(self.shown)


def write_audit_report(
    path: str | os.PathLike[str],
    audit: Audit,
    *,
    data_name: str,
    threads: int = 0,
    written_at: datetime | None = None,
    progress: bool = False,
) -> None:
    """Write one HTML page for any browser, and beside it a CSV file with a row for each image of each finding.

    Args:
        path: of the page, ending in .html.
        audit: what `onlygood.audit` returned. Images that are shown are read again.
        data_name: what the page calls the images, such as the name of their folder.
        threads: images drawn at once; 0 for one a core.
        written_at: the date and time that the page bears; None for now.
        progress: draw a progress bar if stderr is a terminal.

    Raises:
        SettingError: a path that does not end in .html, or a negative number of threads.
        MissingExtraError: Jinja2 or matplotlib are not installed.
        WriteError: a file cannot be written.
    """
    report_paths(path)
    kinds: dict[FindingKind, list[Finding]] = {}
    for each in audit.findings:
        kinds.setdefault(each.kind, []).append(each)
    shown = {kind: findings[:SHOWN] for kind, findings in kinds.items()}
    wanted = dict.fromkeys(
        name for findings in shown.values() for each in findings for name in each.images[:SHOWN_OF_ONE]
    )
    drawn = _draw(audit, list(wanted), threads=threads, progress=progress)
    write_report(
        path,
        "audit",
        model_name=data_name,
        written_at=written_at,
        scores=(),
        rates=(),
        header=COLUMNS,
        rows=_rows(audit),
        audit=audit,
        decisions=sum(each.needs_decision for each in audit.findings),
        kinds=[
            Kind(
                name=kind.replace(" ", "-"),
                title=TITLES[kind],
                rule=RULES[kind],
                findings=len(findings),
                images=len({name for each in findings for name in each.images}),
                shown=[
                    ShownFinding(each, [ShownImage(name, drawn[name]) for name in each.images[:SHOWN_OF_ONE]])
                    for each in shown[kind]
                ],
            )
            for kind, findings in kinds.items()
        ],
        exclude=audit.exclude[:LISTED],
        machine=machine_sentence(),
    )


def _draw(audit: Audit, names: Sequence[str], *, threads: int, progress: bool) -> dict[str, Thumbnail | None]:
    """The images of these names, small."""

    def draw(name: str) -> Thumbnail | None:
        try:
            image = audit.sources[name].read()
        except ImageError:
            return None
        # An image of another depth than most has another window.
        window = (0.0, 255.0) if image.dtype.itemsize == 1 else audit.window
        if image.dtype.itemsize == 2 and window == (0.0, 255.0):
            window = (float(image.min()), float(max(image.max(), image.min() + 1)))
        return draw_thumbnails(image, None, levels=(0.0, 1.0), window=window, long_side=_LONG_SIDE)[0]

    drawn = map_in_order(draw, names, threads=threads)
    return dict(zip(names, track(drawn, total=len(names), description="drawing", show=progress), strict=True))


def _rows(audit: Audit) -> Iterator[Sequence[Any]]:
    for each in audit.findings:
        for name in each.images:
            yield each.kind, name, each.session, each.sentence, int(each.needs_decision), int(each.excludes)
