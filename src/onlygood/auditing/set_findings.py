"""Findings about several images: copies, images of nearly the same thing, and sessions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood._plurals import name_some, pluralize
from onlygood._spacing import evenly_spaced
from onlygood.auditing.examination import Examination
from onlygood.auditing.findings import Finding
from onlygood.auditing.sessions import SessionDifference, session_differences
from onlygood.calibration.two_kinds import two_kinds

# Principal components of what the network sees that sessions are compared by.
COMPONENTS = 8
# Images from which these are learned, evenly spaced among all.
_ANALYSED = 4096
# Images of a session that show a difference best.
_SHOWN = 6
_NAMED = 3


def set_findings(found: Examination) -> list[Finding]:
    """Copies, and images of nearly the same thing, the largest sets first."""
    names = [source.name for source in found.sources]
    copies = defaultdict(list)
    for place, digest in enumerate(found.digests):
        copies[digest].append(place)
    findings = []
    sets = defaultdict(list)
    for place, label in enumerate(found.sets.tolist()):
        sets[label].append(place)
    for members in sorted(sets.values(), key=lambda each: (-len(each), each[0])):
        if len({found.digests[place] for place in members}) < 2:
            continue
        together = len(set(found.fit_sets[members].tolist())) == 1
        findings.append(
            Finding(
                kind="near-duplicate",
                images=tuple(names[place] for place in members),
                sentence=f"{len(members)} images show nearly the same thing"
                + (
                    "; a fit keeps them together and counts them as one."
                    if together
                    else ", at exposures or in places that differ by more than noise: a fit may count them as several "
                    "independent images unless --group-by keeps them together."
                ),
                needs_decision=not together,
            )
        )
    for members in sorted(copies.values(), key=lambda each: (-len(each), each[0])):
        if len(members) > 1:
            findings.append(
                Finding(
                    kind="duplicate",
                    images=tuple(names[place] for place in members),
                    sentence=f"{len(members)} images have equal pixels; a fit keeps them together and counts them as "
                    "one.",
                    needs_decision=False,
                )
            )
    return findings


def kind_findings(found: Examination) -> list[Finding]:
    """What is to be said where the images are of two kinds."""
    # Of many images of one thing, one: they are alike, and that is no kind.
    firsts = np.sort(np.unique(found.sets, return_index=True)[1])
    kinds = two_kinds(found.descriptors[firsts])
    if kinds is None:
        return []
    more, fewer = ([found.sources[firsts[place]].name for place in each.tolist()] for each in kinds)
    return [
        Finding(
            kind="two kinds",
            images=(*more[:_SHOWN], *fewer[:_SHOWN]),
            sentence=f"The images are of two kinds, {len(more):,} such as {more[0]} and {len(fewer):,} such as "
            f"{fewer[0]}: one model learns both, and calls good what looks like either. If one kind is another part, "
            "leave it out, or fit a model to each.",
        )
    ]


def session_findings(found: Examination, sessions: Sequence[str]) -> tuple[list[Finding], list[str]]:
    """What sessions differ in, the most certain difference of each first; and a note on those that cannot be compared.

    Args:
        found: what was found of each image.
        sessions: the label of each of them.
    """
    measures = _measures(found)
    differences, few = session_differences(measures, sessions, found.sets.tolist())
    by_session: dict[str, list[SessionDifference]] = defaultdict(list)
    for each in differences:
        by_session[each.session].append(each)
    labels = np.array(sessions, dtype=object)
    findings = [_session(found, label, own, measures, labels == label) for label, own in by_session.items()]
    notes = []
    if few:
        are = "has" if len(few) == 1 else "have"
        notes.append(
            f"{pluralize(len(few), 'session')} {are} too few independent images to be compared with the others: "
            f"{name_some(few, _NAMED)}."
        )
    return findings, notes


def _session(
    found: Examination,
    label: str,
    differences: Sequence[SessionDifference],
    measures: dict[str, NDArray[np.float64]],
    is_own: NDArray[np.bool_],
) -> Finding:
    """What one session differs in."""
    first = differences[0]
    values = np.where(is_own, measures[first.measure], np.nan)
    sign = 1.0 if first.probability > 0.5 else -1.0
    order = np.argsort(np.where(np.isnan(values), np.inf, -sign * values), kind="stable")
    shown = tuple(found.sources[place].name for place in order[: min(_SHOWN, int(is_own.sum()))].tolist())
    looks = [each for each in differences if each.measure.startswith(_LOOKS)]
    plain = [each for each in differences if not each.measure.startswith(_LOOKS)]
    said = [_in_words(each) for each in plain]
    if looks:
        said.append(
            f"how it looks to a network (in {pluralize(len(looks), 'direction')}, {_share(looks[0])}, "
            f"p = {looks[0].p_value:.1g})"
        )
    return Finding(
        kind="session",
        images=shown,
        session=label,
        sentence=f"Session {label} ({pluralize(first.images, 'independent image')}) differs from all others in "
        f"{'; '.join(said)}.",
    )


_LOOKS = "looks"


def _in_words(each: SessionDifference) -> str:
    return (
        f"{each.measure} (median {each.median:.3g} against {each.others:.3g}, {_share(each)}, p = {each.p_value:.1g})"
    )


def _share(each: SessionDifference) -> str:
    word, share = ("higher", each.probability) if each.probability > 0.5 else ("lower", 1.0 - each.probability)
    return f"{word} in {share:.0%} of pairs"


def _measures(found: Examination) -> dict[str, NDArray[np.float64]]:
    """What sessions are compared by: float64 [n] by name, NaN where an image has no value."""
    kinds = found.kinds
    measures = {
        "brightness": np.array([levels.brightness for levels in found.levels]),
        "contrast": np.array([levels.contrast for levels in found.levels]),
        "share of clipped pixels": np.array([levels.white for levels in found.levels]),
        "sharpness": np.array([np.nan if kind.sharpness is None else kind.sharpness for kind in kinds]),
        "red minus blue": np.array([np.nan if kind.red_minus_blue is None else kind.red_minus_blue for kind in kinds]),
        "area in pixels": np.array([kind.width * kind.height for kind in kinds], dtype=np.float64),
    }
    if found.left_out is not None:
        scores = np.full(len(kinds), np.nan)
        scores[found.left_out.positions] = found.left_out.scores
        measures["leave-one-out score"] = scores
    for number, values in enumerate(_components(found.descriptors), start=1):
        measures[f"{_LOOKS} {number}"] = values
    return {name: values for name, values in measures.items() if not np.isnan(values).all()}


def _components(descriptors: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    """The principal components of descriptors, float64 [n] each; they know nothing of sessions."""
    some = descriptors[evenly_spaced(len(descriptors), _ANALYSED)].astype(np.float64)
    mean = some.mean(axis=0)
    _, _, directions = np.linalg.svd(some - mean, full_matrices=False)
    kept = directions[:COMPONENTS].T
    projected = descriptors @ kept.astype(np.float32) - (mean @ kept)
    yield from projected.T.astype(np.float64)
