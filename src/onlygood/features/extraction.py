"""The first pass of a fit over the good images: what they are, and a bounded sample of what they look like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._plurals import name_some, pluralize
from onlygood._progress import track
from onlygood.datasets.sources import Source
from onlygood.errors import FolderError, ImageError
from onlygood.features.descriptors import Projector, cell_means
from onlygood.features.input_kind import InputKind
from onlygood.graph.runtime import open_session, run
from onlygood.images.channels import name_channels, split_mask
from onlygood.images.kinds import ImageKind, kind_of
from onlygood.images.reading import ImageArray
from onlygood.settings import FitSettings

# Embeddings that are kept for calibration; those of further images are computed a second time.
KEPT_BYTES = 400_000_000
SHOWN_NAMES = 3


class Embedder:
    """Images to embeddings, float32 [h, w, d] each, through the graph that the model file will hold. Thread-safe.

    Args:
        model: the graph from an image, its one input, to the embeddings.
        names: of the embeddings; the first describes the whole image.
        has_mask: whether vectors may be zero, where nothing is looked at.
    """

    def __init__(
        self, model: onnx.ModelProto, names: Sequence[str] = ("embedding",), *, has_mask: bool = False
    ) -> None:
        self.names = tuple(names)
        (image,) = model.graph.input
        self._input = image.name
        self.has_mask = has_mask
        # One thread an image and several images at once: less waiting than several threads on one image.
        self.session = open_session(model.SerializeToString(), threads=1)

    def __call__(self, image: ImageArray) -> NDArray[np.float32]:
        """The first embedding of one image [H, W, C]."""
        return self.all(image)[0]

    def all(self, image: ImageArray) -> tuple[NDArray[np.float32], ...]:
        """All embeddings of one image [H, W, C]."""
        values = run(self.session, self.names, {self._input: image[None]})
        return tuple(np.asarray(value[0], dtype=np.float32) for value in values)


@dataclass
class Features:
    """What the first pass found, one entry an image that could be read.

    Augmentations of these images, if there are any, come after all of them in `sources`, `kept`, `samples`,
    `image_vectors` and `digests`; the rest is about the images as they were given.

    Attributes:
        embedder: what embedded them.
        given: how many images there are without their augmentations.
        sources: the images.
        kept: the embeddings of each, float32 [h, w, d], or None where there was no room to keep them.
        samples: float32 [n, d], patches of all images, for each embedding.
        sample_images: int64 [n], the position of the image that each comes from, for each embedding.
        descriptors: float32 [given, DESCRIPTOR_SIZE].
        projection: float32, by which a descriptor is made of an embedding's cells.
        image_vectors: float32 [images, d], the mean of each one's first embedding.
        digests: sha256 of each image's pixels.
        sizes: (height, width) of each that was given.
        kinds: of each that was given.
        channels: 1 if every image is grey, 3 for colour, or another number that all of them have.
        unreadable: one sentence for each image that was left out.
        notes: sentences that a person should read.
        tiles: how many tiles each image is cut into, where these are tiles, those of an image side by side; else 1.
        as_given: where all of these images are turned copies, the given ones that they are made of, in their order.
    """

    embedder: Embedder
    given: int = 0
    sources: list[Source] = field(default_factory=list)
    kept: list[tuple[NDArray[np.float32], ...] | None] = field(default_factory=list)
    samples: list[NDArray[np.float32]] = field(default_factory=list)
    sample_images: list[NDArray[np.int64]] = field(default_factory=list)
    descriptors: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    projection: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    image_vectors: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    digests: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    kinds: list[ImageKind] = field(default_factory=list)
    channels: int = 1
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tiles: int = 1
    as_given: Features | None = None

    @property
    def scored(self) -> Features:
        """The images as they were given, which calibrate; what is learned may be turned copies of them."""
        return self if self.as_given is None else self.as_given

    def at(self, positions: Sequence[int]) -> Features:
        """The images at these positions alone, where none are augmentations."""
        places = {position: place for place, position in enumerate(positions)}
        masks = [np.isin(images, list(places)) for images in self.sample_images]
        return replace(
            self,
            given=len(places),
            sources=[self.sources[each] for each in positions],
            kept=[self.kept[each] for each in positions],
            samples=[sample[mask] for sample, mask in zip(self.samples, masks, strict=True)],
            sample_images=[
                np.array([places[each] for each in images[mask].tolist()], dtype=np.int64)
                for images, mask in zip(self.sample_images, masks, strict=True)
            ],
            descriptors=self.descriptors[list(positions)],
            image_vectors=self.image_vectors[list(positions)],
            digests=[self.digests[each] for each in positions],
            sizes=[self.sizes[each] for each in positions],
            kinds=[self.kinds[each] for each in positions],
        )

    def embeddings(self, position: int) -> tuple[NDArray[np.float32], ...]:
        """The embeddings of the image at a position, float32 [h, w, d]; computed again where they were not kept."""
        kept = self.kept[position]
        return self.embedder.all(self.sources[position].read()) if kept is None else kept

    def embedding(self, position: int) -> NDArray[np.float32]:
        """The first of them."""
        return self.embeddings(position)[0]

    def describe(self, image: ImageArray) -> NDArray[np.float32]:
        """The descriptor of any image, float32 [DESCRIPTOR_SIZE]."""
        descriptor: NDArray[np.float32] = cell_means(self.embedder(image)) @ self.projection
        return descriptor


@dataclass(frozen=True)
class _ImageFeatures:
    """What a worker thread returns of one image."""

    embeddings: tuple[NDArray[np.float32], ...]
    rows: tuple[NDArray[np.float32], ...]
    digest: str
    shape: tuple[int, int, int]
    is_constant: bool
    is_whole: bool = True
    kind: ImageKind | None = None


def extract_features(
    sources: Sequence[Source],
    embedder: Embedder,
    kind: InputKind,
    settings: FitSettings,
    *,
    rows_each: Sequence[int],
    show_progress: bool,
    what: str = "good",
) -> Features:
    """Read and embed every image once.

    Args:
        sources: the images.
        embedder: the graph up to `embedding`.
        kind: what the model takes.
        settings: of the fit; `skip_unreadable`, `threads` and `seed` matter here.
        rows_each: patches sampled of each image, for each embedding.
        show_progress: draw a bar if stderr is a terminal.
        what: which images these are, for messages.

    Raises:
        FolderError: images that cannot be read (unless they are to be skipped), of several bit depths, or all without
            any content.
    """
    found = Features(embedder)
    projector = Projector(seed=settings.seed)
    has_alpha = settings.alpha == "mask"

    def extract(numbered: tuple[int, Source]) -> _ImageFeatures | ImageError:
        number, source = numbered
        try:
            image = source.read()
        except ImageError as error:
            return error
        if image.dtype != kind.dtype:
            raise FolderError(
                f"{what} images must all have one bit depth, got {source.name} with {8 * image.dtype.itemsize} "
                f"bits a channel among images with {8 * kind.dtype.itemsize}: fit one model for each"
            )
        channels = image.shape[2] - has_alpha
        if not kind.takes(channels):
            others = name_channels(kind.channels) if kind.groups else "grey or colour"
            raise FolderError(
                f"{what} images must all have one number of channels, got {source.name} with {channels} among images "
                f"with {others}: fit one model for each"
            )
        extracted = _extract(
            image, embedder, seed=settings.seed, number=number, rows_each=rows_each, has_alpha=has_alpha
        )
        return replace(extracted, kind=kind_of(image, source.file_format(), has_mask=has_alpha))

    entries = _Entries(found)
    channel_counts: list[int] = []
    constant: list[str] = []
    whole = 0
    results = map_in_order(extract, enumerate(sources), threads=settings.threads)
    bar = track(results, total=len(sources), description="embedding", show=show_progress)
    for source, extracted in zip(sources, bar, strict=True):
        if isinstance(extracted, ImageError):
            found.unreadable.append(str(extracted))
            continue
        entries.add(source, extracted)
        found.sizes.append(extracted.shape[:2])
        assert extracted.kind is not None  # that of an image as it was given
        found.kinds.append(extracted.kind)
        projector.add(cell_means(extracted.embeddings[0]))
        channel_counts.append(extracted.shape[2] - has_alpha)
        whole += extracted.is_whole
        if extracted.is_constant:
            constant.append(source.name)
    _report_unreadable(found, len(sources), skip=settings.skip_unreadable, what=what)
    if len(constant) == len(found.sources):
        raise FolderError(
            f"{what} images must show something, got {len(constant)} in which every pixel has the same level: check "
            f"lens cap, light and exposure"
        )
    if constant:
        found.notes.append(
            f"{pluralize(len(constant), 'image', verb='is')} of one level only, among the {what} ones: "
            f"{name_some(constant, SHOWN_NAMES)}."
        )
    found.channels = max(*channel_counts, settings.channels or 1)
    if has_alpha and whole:
        found.notes.append(
            f"{whole} of {len(channel_counts)} {what} images have no transparent pixel: all of each is looked at."
        )
    if what == "good" and min(channel_counts) != found.channels:
        found.notes.append(
            f"{channel_counts.count(1)} of {len(channel_counts)} good images are grey, the others colour: the "
            f"model takes both, a grey image as one with three equal channels."
        )
    entries.finish()
    found.given = len(found.sources)
    found.descriptors = projector.result()
    assert projector.matrix is not None  # there is at least one image
    found.projection = projector.matrix
    return found


def extract_augmentations(
    found: Features,
    augmentations: Sequence[Source],
    settings: FitSettings,
    *,
    rows_each: Sequence[int],
    show_progress: bool,
    description: str = "augmenting",
) -> None:
    """Embed augmentations of these images as well, and put what was found of them behind the images.

    Args:
        found: of the images that they are made of.
        augmentations: of images that could be read.
        settings: of the fit; `threads` and `seed` matter here.
        rows_each: patches sampled of each, for each embedding.
        show_progress: draw a bar if stderr is a terminal.
        description: what the bar says.
    """
    if not augmentations:
        return

    def extract(numbered: tuple[int, Source]) -> _ImageFeatures:
        number, source = numbered
        return _extract(source.read(), found.embedder, seed=settings.seed, number=number, rows_each=rows_each)

    entries = _Entries(found)
    results = map_in_order(extract, enumerate(augmentations, len(found.sources)), threads=settings.threads)
    bar = track(results, total=len(augmentations), description=description, show=show_progress)
    for source, extracted in zip(augmentations, bar, strict=True):
        entries.add(source, extracted)
    entries.finish()


def extract_turned(
    given: Features,
    turned: Sequence[Source],
    settings: FitSettings,
    *,
    rows_each: Sequence[int],
    show_progress: bool,
) -> Features:
    """Turned copies to learn from in place of the images that were given, which calibrate.

    Args:
        given: the images.
        turned: a copy of each of them in their order, then further copies.
        settings: of the fit; `threads` and `seed` matter here.
        rows_each: as for `extract_features`.
        show_progress: draw a bar if stderr is a terminal.
    """
    found = Features(
        given.embedder, given=given.given, sizes=given.sizes, kinds=given.kinds, channels=given.channels, as_given=given
    )
    extract_augmentations(found, turned, settings, rows_each=rows_each, show_progress=show_progress)
    return found


def _extract(
    image: ImageArray,
    embedder: Embedder,
    *,
    seed: int,
    number: int,
    rows_each: Sequence[int],
    has_alpha: bool = False,
) -> _ImageFeatures:
    """What is found of one image; the seed and its number choose the patches."""
    embeddings = embedder.all(image)
    random = np.random.default_rng([seed, number])
    rows = []
    for embedding, count in zip(embeddings, rows_each, strict=True):
        patches = embedding.reshape(-1, embedding.shape[-1])
        if embedder.has_mask:
            patches = patches[patches.any(axis=1)]
        rows.append(patches[np.sort(random.permutation(len(patches))[:count])])
    colours, mask = split_mask(image, has_mask=has_alpha)
    looked_at = colours if mask is None else colours[mask]
    return _ImageFeatures(
        embeddings=embeddings,
        rows=tuple(rows),
        digest=pixel_digest(image),
        shape=(image.shape[0], image.shape[1], image.shape[2]),
        is_constant=bool(looked_at.min() == looked_at.max()),
        is_whole=mask is None or bool(mask.all()),
    )


def pixel_digest(image: ImageArray) -> str:
    """The sha256 of an image's shape and pixels: equal for equal pixels, whatever the files are."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


def set_digest(digests: Sequence[str]) -> str:
    """The sha256 of a set of images, from their `pixel_digest`: their order and their files do not matter."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


class _Entries:
    """Features of further images, one at a time."""

    def __init__(self, found: Features) -> None:
        self.found = found
        kept = [*found.kept, *([] if found.as_given is None else found.as_given.kept)]
        self.kept = sum(_bytes(embeddings) for embeddings in kept if embeddings is not None)
        self.rows: list[tuple[NDArray[np.float32], ...]] = []
        self.image_vectors: list[NDArray[np.float32]] = []

    def add(self, source: Source, extracted: _ImageFeatures) -> None:
        found = self.found
        self.kept += _bytes(extracted.embeddings)
        found.sources.append(source)
        found.kept.append(extracted.embeddings if self.kept <= KEPT_BYTES else None)
        found.digests.append(extracted.digest)
        self.rows.append(extracted.rows)
        self.image_vectors.append(extracted.embeddings[0].mean(axis=(0, 1)))

    def finish(self) -> None:
        """Put the arrays of those added behind the arrays that are there."""
        found = self.found
        before = len(found.image_vectors)
        for number, parts in enumerate(zip(*self.rows, strict=True)):
            counts = [len(part) for part in parts]
            positions = np.repeat(np.arange(before, before + len(counts)), counts)
            if before:
                found.samples[number] = np.concatenate([found.samples[number], *parts])
                found.sample_images[number] = np.concatenate([found.sample_images[number], positions])
            else:
                found.samples.append(np.concatenate(parts))
                found.sample_images.append(positions)
        found.image_vectors = np.concatenate(
            [found.image_vectors, self.image_vectors] if before else [self.image_vectors]
        )


def _bytes(embeddings: Sequence[NDArray[np.float32]]) -> int:
    return sum(embedding.nbytes for embedding in embeddings)


def _report_unreadable(found: Features, total: int, *, skip: bool, what: str) -> None:
    """Raise, or note, that images could not be read."""
    count = len(found.unreadable)
    if count == 0:
        return
    first = found.unreadable[0]
    if not found.sources:
        raise FolderError(f"{what} images must be readable, got none among {total}: {first}")
    if not skip:
        raise FolderError(
            f"{what} images must be readable, got {count} of {total} that cannot be read (remove or repair them, or "
            f"use --skip-unreadable), the first: {first}"
        )
    noun = "image" if what == "good" else f"{what} image"
    found.notes.append(f"{pluralize(count, noun, verb='is')} left out, as not readable, the first: {first}.")
