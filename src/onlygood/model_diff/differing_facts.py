"""In what the descriptions of two model files differ: settings, guarantee, threshold, images, history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onlygood._plurals import shorten
from onlygood.metadata import Metadata

# The most characters of a value.
_LENGTH = 160
# Fields that a person asks for first, in this order, and what they are called; all others go by their names.
_LABELS = {
    "guarantee.statement": "guarantee",
    "guarantee.requested_rate": "false-alarm rate asked for",
    "guarantee.stated_rate": "false-alarm rate stated",
    "guarantee.rule": "rule of the threshold",
    "calibration.threshold": "threshold of the raw score",
    "calibration.method": "calibration",
    "calibration.decided_by": "what decides the threshold",
    "calibration.odd": "images that stand apart",
    "guarantee.calibration_images": "calibration images",
    "guarantee.groups": "independent groups of them",
    "method": "method",
    "description": "detector",
    "good_images.count": "good images",
    "good_images.heights": "their heights",
    "good_images.widths": "their widths",
    "good_images.sha256": "digest of their pixels",
    "input.dtype": "depth",
    "input.channels": "channels",
    "input.window": "levels of black and white",
    "input.input_shape": "size that images are resized to",
    "notes": "notes on the good images",
    "recalibrations": "thresholds that it was given later",
    "made_with.onlygood": "made with onlygood",
    "content_sha256": "digest of the file",
}
# What the guarantee's sentence says already, and what only the drawing of maps needs.
_LEFT_OUT = ("guarantee.interval", "map_levels.typical", "map_levels.high")
# Digests are cut as everywhere: so many characters tell files apart.
_DIGEST = 12


@dataclass(frozen=True)
class DifferingFact:
    """A field of the description that two model files do not have in common.

    Attributes:
        field: its name in the description, with dots: "calibration.threshold".
        label: what a person calls it.
        old: its value in the old file, in words; None where it is not there.
        new: the same in the new file.
    """

    field: str
    label: str
    old: str | None
    new: str | None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"field": self.field, "label": self.label, "old": self.old, "new": self.new}


def differing_facts(old: Metadata, new: Metadata) -> tuple[DifferingFact, ...]:
    """The fields that differ, those that a person asks for first before the others."""
    before, after = _fields_of(old), _fields_of(new)
    if old.method != new.method:  # then they have nothing in common that each has learned
        before, after = (
            {name: value for name, value in each.items() if not name.startswith("detector.")}
            for each in (before, after)
        )
    known = [name for name in _LABELS if name in before or name in after]
    others = [name for name in dict.fromkeys((*before, *after)) if name not in _LABELS]
    return tuple(
        DifferingFact(name, _label(name), _in_words(before, name), _in_words(after, name))
        for name in (*known, *others)
        if before.get(name) != after.get(name)
    )


def _fields_of(metadata: Metadata) -> dict[str, Any]:
    """What is said of a model, by names with dots."""
    fields = {name: value for name, value in _fields(metadata.to_dict()) if name not in _LEFT_OUT}
    return {**fields, "guarantee.statement": metadata.guarantee.sentences[0]}


def _fields(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no mapping, by its names with dots."""
    for name, value in values.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            yield from _fields(value, f"{path}.")
        else:
            yield path, value


def _label(name: str) -> str:
    if name in _LABELS:
        return _LABELS[name]
    head, _, rest = name.partition(".")
    return f"setting {rest}" if head == "settings" and rest else name


def _in_words(fields: Mapping[str, Any], name: str) -> str | None:
    """A value in one line; of lists of records, how many there are."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return value[:_DIGEST] if name.endswith("sha256") else shorten(value, 3 * _LENGTH)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return shorten(" ".join(value) if name == "notes" else ", ".join(value), 3 * _LENGTH)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        return f"{len(value)}, the last: {shorten(json.dumps(value[-1], ensure_ascii=False), _LENGTH)}"
    if isinstance(value, list) and len(value) == 2 and not any(isinstance(each, list) for each in value):
        low, high = value
        return str(low) if low == high else f"{low} to {high}"
    return shorten(json.dumps(value, ensure_ascii=False), _LENGTH)
