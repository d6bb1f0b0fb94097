"""The good images of a model, as its file knows them when their pixels are gone: names, digests, descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood.images.kinds import ImageKind

# Most images that a file knows: with more it keeps nothing for updates.
MOST_KNOWN = 20_000
_DIGEST_BYTES = 32
# In place of a number that an image does not have; no image's has it.
_NONE = -9.0


@dataclass(frozen=True)
class KnownImages:
    """What is known of each good image.

    Attributes:
        names: as they were called.
        digests: sha256 of their pixels, in hexadecimal.
        labels: that keep images of one session or part together; None where each image stands alone.
        batches: int64 [n], the number of the update that each came with, 0 for those of the fit.
        held_out: bool [n], those that only calibrate.
        descriptors: float32 [n, k], by which near-duplicates are found.
        kinds: what kinds of images they are.
        noise_scale: how far apart the descriptors of two images of one thing lie.
        size: the height and width that the detector was made for.
    """

    names: Sequence[str]
    digests: Sequence[str]
    labels: Sequence[str] | None
    batches: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    descriptors: NDArray[np.float32] = field(repr=False)
    kinds: Sequence[ImageKind] = field(repr=False)
    noise_scale: float
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.names)

    def at(self, positions: NDArray[np.int64]) -> KnownImages:
        """Those at these positions."""
        chosen = positions.tolist()
        return replace(
            self,
            names=[self.names[each] for each in chosen],
            digests=[self.digests[each] for each in chosen],
            labels=None if self.labels is None else [self.labels[each] for each in chosen],
            batches=self.batches[positions],
            held_out=self.held_out[positions],
            descriptors=self.descriptors[positions],
            kinds=[self.kinds[each] for each in chosen],
        )

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays, and facts as plain JSON values."""
        formats = sorted({kind.file_format for kind in self.kinds if kind.file_format is not None})
        scale = float(np.abs(self.descriptors).max(initial=0.0)) or 1.0
        arrays: dict[str, NDArray[Any]] = {
            "digests": np.frombuffer(bytes.fromhex("".join(self.digests)), np.uint8).reshape(-1, _DIGEST_BYTES),
            "batches": self.batches.astype(np.int32),
            "held_out": self.held_out.astype(np.uint8),
            "descriptors": (self.descriptors / scale).astype(np.float16),
            "kinds": np.array([[each.height, each.width, each.channels, each.bits] for each in self.kinds], np.int32),
            "measures": np.array(
                [
                    [_NONE if each is None else each for each in (kind.sharpness, kind.red_minus_blue)]
                    for kind in self.kinds
                ],
                np.float64,
            ),
            "formats": np.array(
                [-1 if kind.file_format is None else formats.index(kind.file_format) for kind in self.kinds], np.int8
            ),
        }
        facts: dict[str, Any] = {
            "names": list(self.names),
            "labels": None if self.labels is None else list(self.labels),
            "formats": formats,
            "descriptor_scale": scale,
            "noise_scale": self.noise_scale,
            "size": list(self.size),
        }
        return arrays, facts

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> KnownImages:
        """What `to_arrays` gave.

        Raises:
            KeyError, TypeError, ValueError: it does not fit together.
        """
        names, labels, formats = facts["names"], facts["labels"], facts["formats"]
        _require(_are_texts(names) and _are_texts(formats), "names")
        count = len(names)
        _require(0 < count <= MOST_KNOWN and (labels is None or (_are_texts(labels) and len(labels) == count)), "names")
        digests, batches, held_out, kinds = (arrays[each] for each in ("digests", "batches", "held_out", "kinds"))
        measures, of_formats, descriptors = arrays["measures"], arrays["formats"], arrays["descriptors"]
        _require(digests.shape == (count, _DIGEST_BYTES) and digests.dtype == np.uint8, "digests")
        _require(batches.shape == held_out.shape == of_formats.shape == (count,), "batches")
        _require(kinds.shape == (count, 4) and measures.shape == (count, 2) and descriptors.ndim == 2, "kinds")
        _require(kinds.dtype.kind == batches.dtype.kind == of_formats.dtype.kind == "i", "whole numbers")
        _require(bool((batches >= 0).all() and (kinds >= 1).all() and np.isin(kinds[:, 2], (1, 3)).all()), "kinds")
        _require(bool((of_formats >= -1).all() and (of_formats < len(formats)).all()), "formats")
        _require(descriptors.shape[0] == count, "descriptors")
        scale, noise_scale, size = facts["descriptor_scale"], facts["noise_scale"], facts["size"]
        _require(all(type(each) in (int, float) and each >= 0 for each in (scale, noise_scale)), "scales")
        _require(
            isinstance(size, list) and len(size) == 2 and all(type(each) is int and each >= 1 for each in size), "sizes"
        )
        return cls(
            names=names,
            digests=[row.tobytes().hex() for row in digests],
            labels=labels,
            batches=batches.astype(np.int64),
            held_out=held_out != 0,
            descriptors=descriptors.astype(np.float32) * np.float32(scale),
            kinds=[
                _kind(sides, two, None if number < 0 else formats[number])
                for sides, two, number in zip(kinds.tolist(), measures.tolist(), of_formats.tolist(), strict=True)
            ],
            noise_scale=float(noise_scale),
            size=(size[0], size[1]),
        )


def joined(first: KnownImages, second: KnownImages) -> KnownImages:
    """The images of both, with the scale and the size of the first.

    Where only one of them has labels, each image of the other one stands alone.
    """
    labels = None
    if first.labels is not None or second.labels is not None:
        labels = [each for images in (first, second) for each in images.labels or _apart(images)]
    return replace(
        first,
        names=[*first.names, *second.names],
        digests=[*first.digests, *second.digests],
        labels=labels,
        batches=np.concatenate([first.batches, second.batches]),
        held_out=np.concatenate([first.held_out, second.held_out]),
        descriptors=np.concatenate([first.descriptors, second.descriptors]),
        kinds=[*first.kinds, *second.kinds],
    )


def _apart(images: KnownImages) -> list[str]:
    return [f"update {batch} image {place}" for place, batch in enumerate(images.batches.tolist())]


def _kind(sides: Sequence[int], measures: Sequence[float], file_format: str | None) -> ImageKind:
    height, width, channels, bits = sides
    sharpness, red_minus_blue = (None if value == _NONE else value for value in measures)
    return ImageKind(height, width, channels, bits, sharpness, red_minus_blue, file_format)


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} that do not fit together")
