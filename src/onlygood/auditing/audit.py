"""Good images looked at before a fit: what among them needs a decision, and which of them a fit might leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onlygood._integers import check_integer
from onlygood._plurals import pluralize
from onlygood.auditing.examination import LEAST_SETS, MOST_LEFT_OUT, Examination, examine
from onlygood.auditing.findings import TITLES, Finding, FindingKind
from onlygood.auditing.image_findings import image_findings
from onlygood.auditing.set_findings import kind_findings, session_findings, set_findings
from onlygood.datasets.sources import GoodImages, Source, exclude_named, exclusion_notes, list_sources
from onlygood.errors import FolderError
from onlygood.images.reading import ChannelOrder, ReadingLimits
from onlygood.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found of good images. `onlygood.report.write_audit_report` makes a page of it.

    Attributes:
        images: how many there are.
        read: how many of them can be read and have the bit depth of most.
        left_out: how many of these were left out in turn.
        findings: by kind, those that matter most first.
        notes: what else is to be known, a sentence each.
        sources: the images by name, to be read again and drawn.
        window: the levels of black and white.

    Example:
        >>> import onlygood
        >>> audit = onlygood.audit("good")
        >>> [finding.sentence for finding in audit.findings if finding.needs_decision]
        ['6 of 12 images are JPEG, and 6 are PNG.']
        >>> audit.exclude
        ()
    """

    images: int
    read: int
    left_out: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    sources: dict[str, Source] = field(repr=False)
    window: tuple[float, float] = (0.0, 255.0)

    @property
    def needs_decision(self) -> bool:
        """Whether any finding asks for a decision before a fit."""
        return any(each.needs_decision for each in self.findings)

    @property
    def exclude(self) -> tuple[str, ...]:
        """Names of images that a fit might leave out, in the order of the images: what `fit(exclude=...)` takes."""
        named = {name for each in self.findings if each.excludes for name in each.images}
        return tuple(name for name in self.sources if name in named)

    def of_kind(self, kind: FindingKind) -> tuple[Finding, ...]:
        """The findings of one kind, in their order."""
        return tuple(each for each in self.findings if each.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain JSON values."""
        return {
            "images": self.images,
            "read": self.read,
            "left_out": self.left_out,
            "needs_decision": self.needs_decision,
            "findings": [each.to_dict() for each in self.findings],
            "exclude": list(self.exclude),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        decisions = sum(each.needs_decision for each in self.findings)
        return (
            f"<Audit: {pluralize(self.images, 'image')}, {pluralize(len(self.findings), 'finding')}, "
            f"{decisions} to decide on, {len(self.exclude)} to leave out>"
        )


def audit(
    images: GoodImages,
    *,
    group_by: str | None = None,
    groups: Sequence[str] | None = None,
    channel_order: ChannelOrder = "rgb",
    exclude: Sequence[str] | None = None,
    max_left_out: int = MOST_LEFT_OUT,
    max_pixels: int = ReadingLimits.max_pixels,
    max_bytes: int = ReadingLimits.max_bytes,
    threads: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> Audit:
    """What among good images needs a decision before a fit: images that are not as the others are, and sets of them.

    Every limit is relative to these images (docs/guides/audit.md has the rules), so a set that is bad throughout is not
    noticed. Memory is bounded: of each image about 2 kB stay, of `max_left_out` images their embeddings as well.

    Args:
        images: as `onlygood.fit` takes them.
        group_by: for paths, what tells sessions apart, to be compared: "folder" (the sub-folder) or a regular
            expression searched in each image's name, whose first group is the label.
        groups: for a sequence, the session of each image instead.
        channel_order: of arrays with colour among the images: "rgb", or "bgr".
        exclude: names of images to leave out; "@" and the path of a text file stand for its lines.
        max_left_out: most images that are left out in turn, evenly spaced among all; 0 for none.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        threads: images worked on at once; 0 for one a core.
        seed: of everything random.
        progress: draw progress bars if stderr is a terminal.

    Raises:
        SettingError: a setting that cannot be used.
        FolderError: images that are missing, too few, or none of which can be read; NotAllGoodError, defects below a
            folder.

    Example:
        >>> import onlygood
        >>> audit = onlygood.audit("good", max_left_out=100)
        >>> audit.images, audit.read, audit.needs_decision
        (12, 12, True)
        >>> model = onlygood.fit("good", exclude=audit.exclude)
    """
    settings = FitSettings(
        group_by=group_by,
        exclude=exclude,  # type: ignore[arg-type]  # a sequence becomes a tuple
        max_pixels=max_pixels,
        max_bytes=max_bytes,
        threads=threads,
        seed=seed,
    )
    most_left_out = check_integer("max_left_out", max_left_out, 0)
    found = list_sources(
        images,
        group_by=group_by,
        groups=groups,
        limits=ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes),
        allow_one=True,
        command="audit",
        channel_order=channel_order,
    )
    sources, notes = found.sources, list(found.notes)
    if settings.exclude is not None:
        sources, excluded = exclude_named(sources, settings.exclude)
        notes += exclusion_notes(excluded)
    if len(sources) < LEAST_SETS:
        raise FolderError(
            f"audit compares good images with one another and needs at least {LEAST_SETS}, got {len(sources)}: add "
            "images"
        )
    seen = examine(sources, settings, most_left_out=most_left_out, show_progress=progress)
    sessions, session_notes = _compare_sessions(seen, is_asked=group_by is not None or groups is not None)
    findings = [*image_findings(seen), *sessions, *kind_findings(seen), *set_findings(seen)]
    order = list(TITLES)
    return Audit(
        images=len(sources),
        read=len(seen.sources),
        left_out=0 if seen.left_out is None else len(seen.left_out.positions),
        findings=tuple(sorted(findings, key=lambda each: order.index(each.kind))),
        notes=(*notes, *seen.notes, *session_notes),
        sources={source.name: source for source in sources},
        window=seen.window,
    )


def _compare_sessions(seen: Examination, *, is_asked: bool) -> tuple[list[Finding], list[str]]:
    """Findings about sessions, where it was said what they are."""
    if not is_asked:
        return [], []
    labels = [source.label for source in seen.sources]
    if len(set(labels)) < 2:
        return [], ["All images are of one session, so there is none to compare it with."]
    return session_findings(seen, labels)
