"""The one look at every image: what it is, how it is exposed, what a network sees in it, and its leave-one-out score.

Every image is read and embedded once, but for a handful. Of an image a few numbers stay, 1 kB for what the network sees
among them, so that 100,000 images fit. Embeddings stay of those alone that are left out in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order, one_blas_thread
from onlygood._progress import track
from onlygood._spacing import evenly_spaced
from onlygood.auditing.levels import Levels, measure_levels
from onlygood.backbones.backbone import load_backbone
from onlygood.calibration.near_duplicates import near_duplicate_groups
from onlygood.calibration.threshold import calibrate, resolve_rule
from onlygood.datasets.sources import Source, file_ranks
from onlygood.detectors.base import Detector, FitTask, Split
from onlygood.detectors.registry import make_method
from onlygood.errors import ImageError, ImageFormatError
from onlygood.features.descriptors import DESCRIPTOR_SIZE, Projector, cell_means
from onlygood.features.extraction import Embedder, Features, extract_features, pixel_digest
from onlygood.features.input_kind import SIZED_IMAGES, InputKind, input_kind, try_read
from onlygood.features.noise_scale import GAMMA, noise_scale
from onlygood.graph.subgraph import join
from onlygood.images.channels import count_channels, is_grey_or_colour, name_channels
from onlygood.images.kinds import ImageKind, kind_of
from onlygood.images.pixels import ImageArray
from onlygood.settings import FitSettings

# Images that are left out in turn unless another number is asked for: their embeddings stay in memory.
MOST_LEFT_OUT = 1500
# Fewer independent things have nothing in common that could be told without each of them.
LEAST_SETS = 3
# Two images of one part at two exposures: the gamma of one, and its inverse of the other, which makes mid-grey 1.4
# times as bright in one. The widest of 1.25, 1.4, 1.6 and 2 at which variants of a generated part in four colours
# (tests/repeated_shots.py) stay apart.
EXPOSURE_GAMMA = 1.25
# Images that say of which levels 16-bit images are made.
_SAMPLED = 200


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Scores of images by a detector that has not seen them or what is (nearly) the same.

    Attributes:
        positions: int64 [m], of the images that were left out in turn.
        scores: float64 [m], higher is more anomalous, 0 at the threshold that a fit would have.
        is_apart: bool [m], whether it stands apart from all others.
    """

    positions: NDArray[np.int64]
    scores: NDArray[np.float64]
    is_apart: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found of those images that can be read and have the bit depth of most, in their order.

    Attributes:
        sources: the images.
        levels: of each.
        kinds: of each.
        digests: sha256 of each image's pixels.
        descriptors: float32 [n, d], where close means similar.
        sets: int64 [n], equal for images of (nearly) the same thing at whatever exposure.
        fit_sets: int64 [n], equal for images that a fit keeps together by itself.
        left_out: None where none were, or too few things differ.
        depth: bits a channel of these images, as they are stored: 8 or 16.
        window: the levels of black and white.
        unreadable: name and reason of each image that cannot be read.
        other_depth: name and bits a channel of each image of another bit depth.
        notes: sentences that a person should read.
    """

    sources: Sequence[Source]
    levels: Sequence[Levels]
    kinds: Sequence[ImageKind]
    digests: Sequence[str] = field(repr=False)
    descriptors: NDArray[np.float32] = field(repr=False)
    sets: NDArray[np.int64]
    fit_sets: NDArray[np.int64]
    left_out: LeftOut | None
    depth: int
    window: tuple[float, float]
    unreadable: Sequence[tuple[str, str]]
    other_depth: Sequence[tuple[str, int]]
    notes: Sequence[str]


def examine(
    sources: Sequence[Source], settings: FitSettings, *, most_left_out: int = MOST_LEFT_OUT, show_progress: bool = False
) -> Examination:
    """Look at every image once.

    Args:
        sources: the images.
        settings: of a fit; limits, threads and seed matter here.
        most_left_out: how many images are left out in turn, evenly spaced among all; 0 for none.
        show_progress: draw bars if stderr is a terminal.

    Raises:
        FolderError: no image can be read, or none shows anything.
    """
    kind, full_scale = _kind(sources, settings, show_progress=show_progress)
    method = make_method("patch", taps=tuple(tap.name for tap in load_backbone("lite0").card.choose_taps(None)))
    settings = settings.replaced(skip_unreadable=True).resolved(method)
    chosen = np.zeros(len(sources), dtype=bool)
    if most_left_out:
        chosen[evenly_spaced(len(sources), most_left_out)] = True
    task = FitTask(kind=kind, images=max(1, int(chosen.sum())), settings=settings, show_progress=show_progress)
    detector = method.make_detector(task)
    reading = _Reading(sources, kind, full_scale)
    features = _features(reading, chosen, detector, kind, settings, show_progress=show_progress)
    others = _Described.of(reading, ~chosen, detector, settings, show_progress=show_progress)
    read = np.array([place for place, levels in enumerate(reading.levels) if levels is not None], dtype=np.int64)
    is_chosen = chosen[read]
    # Both parts are in the order of the images: each is put back where its images stand.
    descriptors = np.empty((len(read), others.descriptors.shape[1]), dtype=np.float32)
    kinds, digests = np.empty(len(read), dtype=object), np.empty(len(read), dtype=object)
    for places, part in ((np.flatnonzero(~is_chosen), others), (np.flatnonzero(is_chosen), features)):
        if part is not None:
            descriptors[places] = part.descriptors
            for place, digest, each in zip(places.tolist(), part.digests, part.kinds, strict=True):
                digests[place], kinds[place] = digest, each
    found = [sources[place] for place in read.tolist()]
    sets, fit_sets = _sets(found, list(digests), descriptors, others, kind, settings, show_progress=show_progress)
    left_out: LeftOut | None = None
    notes: list[str] = []
    if features is not None:
        left_out, notes = _leave_out(detector, features, np.flatnonzero(is_chosen), sets, settings, total=len(found))
    return Examination(
        sources=found,
        levels=[levels for levels in reading.levels if levels is not None],
        kinds=list(kinds),
        digests=list(digests),
        descriptors=descriptors,
        sets=sets,
        fit_sets=fit_sets,
        left_out=left_out,
        depth=8 * kind.dtype.itemsize,
        window=(kind.window.black, kind.window.white),
        unreadable=[(sources[place].name, problem) for place, problem in sorted(reading.problems.items())],
        other_depth=[(sources[place].name, depth) for place, depth in sorted(reading.other_depth.items())],
        notes=notes,
    )


class _Reading:
    """Reads images by their positions, and notes what the pixels say before they are let go. Thread-safe.

    Attributes:
        levels: of each image that was read.
        problems: why an image cannot be read, by its position.
        other_depth: bits a channel of images of another depth, by their positions.
    """

    def __init__(self, sources: Sequence[Source], kind: InputKind, full_scale: int) -> None:
        self.sources, self.kind, self.full_scale = sources, kind, full_scale
        self.levels: list[Levels | None] = [None] * len(sources)
        self.problems: dict[int, str] = {}
        self.other_depth: dict[int, int] = {}

    def read(self, position: int) -> ImageArray:
        """The image at a position.

        Raises:
            ImageError: it cannot be read, or has another depth or number of channels.
        """
        source = self.sources[position]
        try:
            image = source.read()
        except ImageError as error:
            self.problems[position] = str(error)
            raise
        if image.dtype != self.kind.dtype:
            self.other_depth[position] = 8 * image.dtype.itemsize
            raise ImageFormatError(f"{source.name} has {self.other_depth[position]} bits a channel")
        if not self.kind.takes(image.shape[2]):
            others = name_channels(self.kind.channels) if self.kind.groups else "grey or colour"
            self.problems[position] = (
                f"{source.name} has {count_channels(image.shape[2])}, most images are of {others}: a model takes one "
                "number of channels"
            )
            raise ImageFormatError(self.problems[position])
        self.levels[position] = measure_levels(image, self.full_scale)
        return image

    def at(self, is_wanted: NDArray[np.bool_]) -> list[Source]:
        """The sources at some positions, which note what they read."""
        return [
            replace(self.sources[position], read=partial(self.read, position))
            for position in np.flatnonzero(is_wanted).tolist()
        ]


@dataclass(frozen=True)
class _Described:
    """What stays of images that are not left out in turn.

    Attributes:
        descriptors: float32 [n, d].
        digests: sha256 of each image's pixels.
        kinds: of each.
        embedder: of the embedding that descriptors are made of.
        projector: that makes them.
    """

    descriptors: NDArray[np.float32]
    digests: list[str]
    kinds: list[ImageKind]
    embedder: Embedder
    projector: Projector

    @classmethod
    def of(
        cls,
        reading: _Reading,
        is_wanted: NDArray[np.bool_],
        detector: Detector,
        settings: FitSettings,
        *,
        show_progress: bool,
    ) -> _Described:
        """What is found of the images at some positions that can be read."""
        embedding = detector.embedding
        name = embedding.outputs[0]
        embedder = Embedder(join(*embedding.subgraphs, outputs=[name]), [name])
        projector = Projector(seed=settings.seed)

        def describe(source: Source) -> tuple[NDArray[np.float32], str, ImageKind] | None:
            try:
                image = source.read()
            except ImageError:
                return None  # it is noted
            return cell_means(embedder(image)), pixel_digest(image), kind_of(image, source.file_format())

        sources = reading.at(is_wanted)
        digests, kinds = [], []
        results = map_in_order(describe, sources, threads=settings.threads)
        for found in track(results, total=len(sources), description="embedding", show=show_progress):
            if found is not None:
                projector.add(found[0])
                digests.append(found[1])
                kinds.append(found[2])
        empty = np.empty((0, DESCRIPTOR_SIZE), dtype=np.float32)
        return cls(projector.result() if digests else empty, digests, kinds, embedder, projector)

    def describe(self, image: ImageArray) -> NDArray[np.float32]:
        """The descriptor of any image."""
        vector = cell_means(self.embedder(image))
        if self.projector.matrix is None:
            self.projector.add(vector)
            first: NDArray[np.float32] = self.projector.result()[-1]
            return first
        descriptor: NDArray[np.float32] = vector @ self.projector.matrix
        return descriptor


def _kind(sources: Sequence[Source], settings: FitSettings, *, show_progress: bool) -> tuple[InputKind, int]:
    """What most images are, by some of them, and the highest level that such images can have."""
    chosen = [sources[position] for position in evenly_spaced(len(sources), SIZED_IMAGES)]
    found: dict[int, tuple[np.dtype[Any], int]] = {}
    for number, image in enumerate(map_in_order(try_read, chosen, threads=settings.threads)):
        if image is not None:
            channels = image.shape[2]
            found[number] = image.dtype, 3 if is_grey_or_colour(channels) else channels
    if not found:  # the first that can be read is another, or none can be
        return _kind_of_any(sources, settings, show_progress=show_progress)
    most = Counter(found.values()).most_common(1)[0][0]
    common = most[0]
    alike = [chosen[number] for number, each in found.items() if each == most]
    if common == np.uint8:
        return input_kind(alike, settings, show_progress=show_progress), 255
    sampled = [sources[position] for position in evenly_spaced(len(sources), _SAMPLED)]
    highest = [
        int(image.max())
        for image in map_in_order(try_read, sampled, threads=settings.threads)
        if image is not None and image.dtype == common
    ]
    return input_kind([*alike, *sampled], settings, show_progress=show_progress), _full_scale(max(highest, default=0))


def _kind_of_any(sources: Sequence[Source], settings: FitSettings, *, show_progress: bool) -> tuple[InputKind, int]:
    kind = input_kind(sources, settings, show_progress=show_progress)
    return kind, 255 if kind.dtype == np.uint8 else _full_scale(int(kind.window.white))


def _full_scale(highest: int) -> int:
    """The highest level of so many bits as a level needs, at least 8."""
    return max(255, (1 << highest.bit_length()) - 1)


def _features(
    reading: _Reading,
    is_wanted: NDArray[np.bool_],
    detector: Detector,
    kind: InputKind,
    settings: FitSettings,
    *,
    show_progress: bool,
) -> Features | None:
    """What a detector learns from, of the images at some positions; None where there are none that can be read."""
    sources = reading.at(is_wanted)
    if not sources:
        return None
    embedding = detector.embedding
    embedder = Embedder(join(*embedding.subgraphs, outputs=list(embedding.outputs)), embedding.outputs)
    return extract_features(
        sources, embedder, kind, settings, rows_each=embedding.rows_each, show_progress=show_progress
    )


def _sets(
    sources: Sequence[Source],
    digests: Sequence[str],
    descriptors: NDArray[np.float32],
    described: _Described,
    kind: InputKind,
    settings: FitSettings,
    *,
    show_progress: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of images of one thing, at other exposures and as a fit finds them."""
    ranks, labels = file_ranks(sources), []
    for gamma in (EXPOSURE_GAMMA, GAMMA):
        scale = noise_scale(
            sources,
            described.describe,
            kind.window,
            seed=settings.seed,
            gamma=gamma,
            others=kind.windows[1:],
            show_progress=show_progress,
        )
        with one_blas_thread():
            found, _ = near_duplicate_groups(descriptors, digests, noise_scale=scale, file_order=ranks)
        labels.append(np.array(found, dtype=np.int64))
    return labels[0], labels[1]


def _leave_out(
    detector: Detector,
    features: Features,
    positions: NDArray[np.int64],
    sets: NDArray[np.int64],
    settings: FitSettings,
    *,
    total: int,
) -> tuple[LeftOut | None, list[str]]:
    """Scores of some images by a detector without each of them, and what to say about it."""
    groups = sets[positions].tolist()
    different = len(set(groups))
    if different < LEAST_SETS:
        return None, [
            f"No image was left out in turn: that needs images of at least {LEAST_SETS} different things, and there "
            f"are {different}."
        ]
    with one_blas_thread():
        learned = detector.learn(features, Split(groups=groups, held_out=np.zeros(len(groups), dtype=bool)))
    raw, rate = learned.scores.raw, settings.false_alarm_rate
    calibration = calibrate(raw, groups, rate, rule=resolve_rule("auto", different, rate, is_exact=False))
    least = calibration.scores[-calibration.odd] if calibration.odd else np.float32(np.inf)
    notes = []
    if len(positions) < total:
        notes.append(
            f"{len(positions):,} of {total:,} images were left out in turn, evenly spaced among all: of the others it "
            "is not known whether a detector that has not seen them calls them anomalous."
        )
    scores = raw.astype(np.float64) - calibration.threshold
    return LeftOut(positions=positions, scores=scores, is_apart=raw >= least), notes
