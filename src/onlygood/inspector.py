"""Inspect: a model file and an image, in; a verdict, out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._plurals import shorten
from onlygood._progress import track
from onlygood.another_threshold import at_rate, at_threshold
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.given import find_given, stands_for_several
from onlygood.datasets.sources import is_one_in_memory, name_of
from onlygood.errors import ImageError, SettingError
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.graph.model_file import ModelFile, keep_outputs, unpack
from onlygood.graph.runtime import open_model, run
from onlygood.graph.verdict import CalibrationScores
from onlygood.images.channels import shown_channels
from onlygood.images.kinds import kind_of
from onlygood.images.named import NamedImage
from onlygood.images.reading import (
    ChannelOrder,
    ImageArray,
    ImageSource,
    ReadingLimits,
    check_channel_order,
    read_with_format,
)
from onlygood.inspection import VERDICT_OUTPUTS, as_input, limits_for, to_inspection
from onlygood.kind_notes import Difference, differences, may_be_swapped
from onlygood.metadata import Metadata
from onlygood.model import ModelSource, file_and_name
from onlygood.occlusion import occlusion_map
from onlygood.rates import rate_in_short
from onlygood.regions import find_regions
from onlygood.results import NAME_LENGTH, InspectedPixels, Inspection

# An image that fits much better with red and blue swapped keeps at most this share of its score then.
SWAPPED_SHARE = 0.25

In = TypeVar("In")
Out = TypeVar("Out")
Found = TypeVar("Found", bound=Inspection, covariant=True)


class Inspects(Protocol[Found]):
    """What inspects one image after another: an Inspector, or several of which one is chosen."""

    def for_many(self) -> Inspects[Found]:
        """As of an Inspector."""

    def inspect(
        self, image: ImageSource, name: str, page: int | None, channel_order: ChannelOrder | None = None
    ) -> tuple[Found, ImageArray]:
        """As of an Inspector."""


@dataclass(frozen=True)
class _Unpacked:
    """A model file in memory, as an inspector takes it."""

    file: ModelFile


class Inspector:
    """A model, loaded and ready: call it with an image, or `map` it over many. Safe to share between threads.

    It can be pickled, so that it reaches the processes of a pool and deep copies; a model is kept as its file.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or another Inspector, whose
            model it is then.
        threshold: use another threshold instead of the one in the file, named as a score of this model (0 is the one in
            the file); scores are then relative to it, and `metadata` say what it means for good images.
        false_alarm_rate: use the threshold that the calibration scores in the file give at this rate, in (0, 1),
            instead of the one in the file. The file stays as it is; `metadata` are those that it would have.
        provider: the hardware that ONNX Runtime uses, "cpu" or one that its installation has ("cuda", ...).
        threads: that share the work on one image when it is called; 0 for one a core. `map` has its own.
        with_map: give anomaly maps; without them large images are inspected faster.
        by_occlusion: make those maps by hiding parts of the image (see `onlygood.occlusion`), which takes some eighty
            inspections each, instead of in the graph. They say something also where the model's latent space has no
            places.
        channel_order: of arrays with colour: "rgb", or "bgr" for blue, green, red, as OpenCV gives them. Files and PIL
            images say their own order.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        require_signature: path of a public key: the model must be signed by its holder with `onlygood sign`.
        max_model_bytes: most bytes that the model file may have.

    Raises:
        ModelFileError: the file is missing, damaged, of another kind, newer than this onlygood, or not signed by the
            key that is required.
        SettingError: a provider that is not installed, or a rate, a limit, a key or a number of threads that cannot be
            used.

    Example:
        >>> import onlygood
        >>> inspect = onlygood.Inspector("part.onnx")
        >>> inspection = inspect("new/3.jpg")
        >>> inspection.is_anomaly, inspection.anomaly_map.shape
        (True, (96, 112))
    """

    def __init__(
        self,
        model: ModelSource,
        *,
        false_alarm_rate: float | None = None,
        threshold: float | None = None,
        provider: str = "cpu",
        threads: int = 0,
        with_map: bool = True,
        by_occlusion: bool = False,
        channel_order: ChannelOrder = "rgb",
        max_pixels: int = ReadingLimits.max_pixels,
        max_bytes: int = ReadingLimits.max_bytes,
        require_signature: str | os.PathLike[str] | None = None,
        max_model_bytes: int = MAX_MODEL_BYTES,
    ) -> None:
        file, shown = file_and_name(model, max_model_bytes=max_model_bytes, require_signature=require_signature)
        if false_alarm_rate is not None and threshold is not None:
            raise SettingError("a threshold goes without a false-alarm rate, got both: leave one out")
        if false_alarm_rate is not None:
            file = at_rate(file, false_alarm_rate, name=shown).file
        if threshold is not None:
            file = at_threshold(file, threshold, name=shown).file
        self.file = file
        self._is_recalibrated = false_alarm_rate is not None or threshold is not None
        self.metadata: Metadata = file.metadata
        self.calibration_scores: CalibrationScores | None = file.calibration_scores
        self.limits = limits_for(self.metadata, ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes))
        from_graph = with_map and not by_occlusion
        self._by_occlusion = with_map and by_occlusion
        self._outputs = [*VERDICT_OUTPUTS, "anomaly_map"] if from_graph else list(VERDICT_OUTPUTS)
        self._channel_order = check_channel_order(channel_order)
        self._shown, self._provider, self._threads = shown, provider, threads
        self._session = self._open(threads)
        self._one_thread: Inspector | None = None
        self._lock = Lock()

    def _open(self, threads: int) -> Any:
        with_map = "anomaly_map" in self._outputs
        content = self.file.content if with_map else keep_outputs(self.file.content, self._outputs)
        return open_model(content, self._shown, self.file.costs, provider=self._provider, threads=threads)

    def __repr__(self) -> str:
        guarantee = self.metadata.guarantee
        rate = rate_in_short(guarantee.stated_rate, is_guaranteed=guarantee.is_guaranteed, is_exact=guarantee.is_exact)
        maps = "with maps" if self.with_map else "without maps"
        return f"<Inspector of {shorten(self._shown, NAME_LENGTH)}: {self.metadata.method}, {rate}, {maps}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process, or a deep copy, opens it from: the model file's bytes, audited again there."""
        settings = {
            "provider": self._provider,
            "threads": self._threads,
            "with_map": self.with_map,
            "by_occlusion": self._by_occlusion,
            "channel_order": self._channel_order,
            "max_pixels": self.limits.max_pixels,
            "max_bytes": self.limits.max_bytes,
        }
        return _reopened, (self.file.content, self._shown, self._is_recalibrated, settings)

    def for_many(self) -> Inspector:
        """The same inspector, each of whose calls takes one thread: for calls on several threads at once.

        Several images at once, each on one thread, are faster than one image after another on all threads, and much
        faster than several at once on all threads each, which then wait for one another.
        """
        # On other hardware, threads of the processor gain little, and memory holds the model once.
        if self._threads == 1 or self._provider != "cpu":
            return self
        with self._lock:
            if self._one_thread is None:
                self._one_thread = object.__new__(type(self))
                self._one_thread.__dict__.update(self.__dict__)
                self._one_thread._threads, self._one_thread._session = 1, self._open(1)
            return self._one_thread

    @property
    def with_map(self) -> bool:
        """Whether it gives anomaly maps."""
        return self._by_occlusion or "anomaly_map" in self._outputs

    @property
    def is_recalibrated(self) -> bool:
        """Whether it uses another threshold than the one in the model that it was made of."""
        return self._is_recalibrated

    @property
    def map_levels(self) -> tuple[float, float]:
        """Levels of the anomaly map: what is typical of good images, and what few of them reach anywhere."""
        if self._by_occlusion:
            # A raw score is at least 0, so hiding a part can take off no more than all of it, which of good images
            # is below the threshold, at the rate guaranteed.
            return 0.0, self.metadata.calibration.threshold
        levels = self.metadata.map_levels
        return levels.typical, levels.high

    @property
    def has_mask(self) -> bool:
        """Whether the last channel of the images that it takes says what is looked at."""
        return self.metadata.input.alpha is not None

    def shown(self, pixels: ImageArray) -> ImageArray:
        """What a person is shown of pixels that this model takes, [H, W, 1] or [H, W, 3]: the first channels."""
        return shown_channels(pixels, has_mask=self.has_mask)

    @property
    def window(self) -> tuple[float, float]:
        """The levels of black and white that the model was fitted with."""
        return self.metadata.input.window

    def __call__(self, image: ImageSource, *, name: str | None = None, page: int | None = None) -> Inspection:
        """The verdict on one image.

        Args:
            image: a path, the bytes of a file, a PIL image, or an array uint8 or uint16 [H, W], [H, W, 1], [H, W, 3]
                (red, green, blue, or as `channel_order` says) or [H, W, 4] (with alpha).
            name: what to call it; its path unless given.
            page: of a multi-page TIFF, from 0.

        Raises:
            ImageError: it cannot be read, or is not of the kind that this model takes.
        """
        if name is None:
            name = os.fspath(image) if isinstance(image, str | os.PathLike) else "the image"
        return self.inspect(image, name, page)[0]

    def map(
        self,
        images: str | os.PathLike[str] | Iterable[ImageSource | NamedImage],
        *,
        threads: int = 0,
        progress: bool = False,
    ) -> Iterator[Inspection | ImageError]:
        """The verdicts on many images, in the order given; an image that has none gives its ImageError instead.

        Images are taken from an iterable as verdicts are asked for, a few ahead, and results are not kept: what a list
        of them takes is mostly their maps, which `with_map=False` leaves out.

        Args:
            images: a folder, searched with its sub-folders, a ZIP archive, a pattern such as `lot*/*.png`, a text file
                (.txt) with a path a line, a list of such, or an iterable of images as this object takes them and of
                `NamedImage`. Those in a folder are called by their paths in it, of several with its path before it,
                others as when they are inspected alone; "image 3" is the fourth of those that have no name.
            threads: images worked on at once, one thread each; 0 for one a core.
            progress: draw a progress bar if stderr is a terminal.

        Raises:
            FolderError: a folder without images.
            SettingError: one image in memory where several are meant, or a negative number of threads.

        Example:
            for each in onlygood.Inspector("part.onnx").map("incoming/"):
                print(each.name, each if isinstance(each, onlygood.ImageError) else each.is_anomaly)
        """
        items = items_of(images, self.limits)
        total = len(items) if isinstance(items, Sized) else len(images) if isinstance(images, Sized) else None
        return inspect_each(
            self,
            items,
            image=lambda each: each.named(self.limits) if isinstance(each, ImageFile) else each,
            then=lambda _, inspection, __: inspection,
            threads=threads,
            total=total,
            description="inspecting",
            progress=progress,
        )

    def inspect(
        self, image: ImageSource, name: str, page: int | None, channel_order: ChannelOrder | None = None
    ) -> tuple[Inspection, ImageArray]:
        """The verdict on one image, as when this object is called, and the pixels [H, W, C] that it is about."""
        order = (channel_order or self._channel_order) if isinstance(image, np.ndarray) else "rgb"
        try:
            given, file_format = read_with_format(image, name=name, page=page, channel_order=order, limits=self.limits)
            pixels = as_input(self.metadata, given, name)
            started = time.perf_counter()
            values = run(self._session, self._outputs, {"image": pixels[None]})
            latency_ms = 1e3 * (time.perf_counter() - started)
            anomaly_map = values[3][0] if len(values) > len(VERDICT_OUTPUTS) else None
            if self._by_occlusion:
                anomaly_map = occlusion_map(pixels, self._scores, has_mask=self.has_mask)
            found = to_inspection(name, values, anomaly_map=anomaly_map, latency_ms=latency_ms)
            found = replace(found, differences=self._differences(file_format, given, pixels, found))
            if anomaly_map is not None:
                found = replace(
                    found,
                    regions=find_regions(anomaly_map, self.map_levels[1]),
                    pixels=InspectedPixels(self.shown(pixels), self.map_levels, self.window),
                )
            return found, pixels
        except ImageError as error:
            error.name = name
            raise

    def _differences(
        self, file_format: str | None, given: ImageArray, pixels: ImageArray, found: Inspection
    ) -> tuple[Difference, ...]:
        """In what an image differs in kind from the good ones.

        Args:
            file_format: of the image.
            given: its pixels as they were read.
            pixels: as the model takes them.
            found: the verdict.
        """
        kind = kind_of(given, file_format, has_mask=self.has_mask)
        differing = differences(kind, self.metadata.good_images)
        if found.is_anomaly and self.metadata.input.channels == 3 and may_be_swapped(kind, self.metadata.good_images):
            order = [2, 1, 0, *range(3, pixels.shape[2])]
            swapped = float(self._scores(np.ascontiguousarray(pixels[None, ..., order]))[0])
            if swapped <= max(0.0, SWAPPED_SHARE * found.score):
                scores = f"score {swapped:+.3g} with red and blue swapped instead of {found.score:+.3g}"
                differing += (Difference("channel order", scores, "red, green, blue"),)
        return differing

    def _scores(self, images: ImageArray) -> NDArray[np.float32]:
        """Scores of several images of one size, float32 [n]."""
        scores: NDArray[np.float32] = run(self._session, ["score"], {"image": images})[0]
        return scores


def _reopened(content: bytes, shown: str, is_recalibrated: bool, settings: dict[str, Any]) -> Inspector:
    """The inspector that was pickled, on a session of its own."""
    inspector = Inspector(_Unpacked(unpack(content, shown)), **settings)
    inspector._shown, inspector._is_recalibrated = shown, is_recalibrated
    return inspector


def as_inspector(model: ModelSource) -> Inspector:
    """An inspector of a model that is given in any way; one that is given as it is.

    Raises:
        ModelFileError: as `Inspector`.
    """
    return model if isinstance(model, Inspector) else Inspector(model)


def items_of(
    images: str | os.PathLike[str] | Iterable[ImageSource | NamedImage], limits: ReadingLimits
) -> Iterable[NamedImage | ImageFile]:
    """The images that `Inspector.map` is given, with their names.

    Args:
        images: as of `Inspector.map`.
        limits: on pixels and bytes.

    Raises:
        FolderError, SettingError: as `Inspector.map`.
    """
    if isinstance(images, str | os.PathLike) or stands_for_several(images):
        return find_given(images, limits=limits).images
    if is_one_in_memory(images) or not isinstance(images, Iterable):
        raise SettingError(
            f"map takes a folder or several images, got one {type(images).__name__}: call the inspector with it, "
            "or give a list"
        )
    return (_with_name(image, position) for position, image in enumerate(images))


def inspect_each(
    inspector: Inspects[Found],
    items: Iterable[In],
    *,
    image: Callable[[In], NamedImage],
    then: Callable[[In, Found, ImageArray], Out],
    threads: int,
    total: int | None,
    description: str,
    progress: bool,
) -> Iterator[Out | ImageError]:
    """What is made of the inspection of each item, in their order; its ImageError where it cannot be inspected.

    Args:
        inspector: which.
        items: taken as results are asked for, a few ahead.
        image: gives the image of an item.
        then: makes the result from the item, its inspection and its pixels [H, W, C], on the thread of the inspection:
            what is drawn or measured there is done for several images at once, and maps need not be kept.
        threads: items worked on at once, one thread each; 0 for one a core.
        total: how many items there are; None where that is not known.
        description: what the progress bar says.
        progress: draw it if stderr is a terminal.

    Raises:
        SettingError: a negative number of threads.
    """
    alone = inspector if total == 1 else inspector.for_many()

    def work(item: In) -> Out | ImageError:
        try:
            named = image(item)
            return then(item, *alone.inspect(named.image, named.name, named.page, named.channel_order))
        except ImageError as error:
            return error

    return track(map_in_order(work, items, threads=threads), total=total, description=description, show=progress)


def _with_name(image: ImageSource | NamedImage, position: int) -> NamedImage:
    if isinstance(image, NamedImage):
        return image
    return NamedImage(name_of(image, position), image)
