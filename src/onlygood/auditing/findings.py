"""What a person should decide on before a fit: findings, and the rule of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

FindingKind: TypeAlias = Literal[
    "unreadable",
    "depth",
    "anomalous",
    "apart",
    "blurred",
    "exposure",
    "size",
    "colour",
    "format",
    "session",
    "two kinds",
    "near-duplicate",
    "duplicate",
]

# Of each kind: what images of it are called, and by which rule they are found.
TITLES: dict[FindingKind, str] = {
    "unreadable": "Images that cannot be read",
    "depth": "Images of another bit depth",
    "anomalous": "Anomalous images, by leave-one-out",
    "apart": "Images that look like no other",
    "blurred": "Blurred images",
    "exposure": "Badly exposed images",
    "size": "Images of another size",
    "colour": "Images of another number of channels",
    "format": "Images in another file format",
    "session": "Sessions that differ",
    "two kinds": "Images of two kinds",
    "near-duplicate": "Images of nearly the same thing",
    "duplicate": "Copies",
}
_FAR = "so far out that fewer than 0.05 images are expected there by the tail of the set"
RULES: dict[FindingKind, str] = {
    "unreadable": "The file cannot be read in full.",
    "depth": "Most images have another number of bits a channel, and a model takes one depth.",
    "anomalous": "A detector that has seen neither the image nor its near-duplicates gives it a score that lies "
    f"{_FAR}.",
    "apart": f"Its distance to the third-nearest of the other things, as a network sees them, lies {_FAR}, and is at "
    "least 1.5 times the median distance.",
    "blurred": f"Its sharpness, how much neighbouring pixels differ as a share of the contrast, lies {_FAR}, and is at "
    "most half of the median.",
    "exposure": f"Its mean level, its contrast or the share of its pixels that are clipped lies {_FAR}, and differs "
    "from the median by a tenth of the scale, by half of the contrast, or by 2 % of the pixels. An image of one level "
    "is always named.",
    "size": f"Most images have one size, and it has another; or where sizes vary, its area or its aspect ratio lies "
    f"{_FAR}, and differs from the median by at least a quarter.",
    "colour": "Most images have another number of channels.",
    "format": "Most images are in another file format: compression leaves traces that look like defects.",
    "session": "A rank test says that its images have other values of a measure than all others (Mann-Whitney, p at "
    "most 0.01 after Holm's correction for all sessions and measures), and an image of it has a higher value than "
    "another one in at least 75 % of pairs, or in at most 25 %. Near-duplicates in a session count as one image.",
    "two kinds": "Two means divide the images, as a network sees them, with a gap between both and a mean silhouette "
    "of at least 0.4. Near-duplicates count as one image.",
    "near-duplicate": "Their distance, as a network sees them, is within what noise, compression and an exposure 1.4 "
    "times as bright change, and clearly below the distance to all others.",
    "duplicate": "Their pixels are equal.",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about some of the images.

    Attributes:
        kind: which.
        images: their names; of a session, those that show the difference most.
        sentence: what was found, how strongly, and what it is compared with.
        needs_decision: whether a person should decide something before a fit.
        excludes: whether the list to leave out names its images.
        session: the label of the session; None where it is about images.
    """

    kind: FindingKind
    images: tuple[str, ...]
    sentence: str
    needs_decision: bool = True
    excludes: bool = False
    session: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON values."""
        return {
            "kind": self.kind,
            "images": list(self.images),
            "session": self.session,
            "finding": self.sentence,
            "needs_decision": self.needs_decision,
            "excludes": self.excludes,
        }
