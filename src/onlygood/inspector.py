"""Inspect: a model file and an image, in; a verdict, out."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from onlygood._parallel import map_in_order
from onlygood._paths import given_path
from onlygood._plurals import shorten
from onlygood._progress import track
from onlygood.datasets.folders import find_images
from onlygood.datasets.sources import is_one_in_memory, name_of
from onlygood.errors import ImageError, SettingError
from onlygood.graph.model_file import keep_outputs
from onlygood.graph.runtime import open_model, run
from onlygood.graph.verdict import CalibrationScores
from onlygood.images.named import NamedImage
from onlygood.images.reading import ImageArray, ImageSource, ReadingLimits, fit_channels, read_image, require_depth
from onlygood.metadata import Metadata
from onlygood.model import ModelSource, file_and_name
from onlygood.occlusion import occlusion_map
from onlygood.rates import rate_in_short
from onlygood.recalibration import at_rate
from onlygood.results import NAME_LENGTH, InspectedPixels, Inspection

VERDICT_OUTPUTS = ("score", "p_value", "is_anomaly")

In = TypeVar("In")
Out = TypeVar("Out")


class Inspector:
    """A model, loaded and ready: call it with an image, or `map` it over many. Safe to share between threads.

    Args:
        model: path of a model file, what `onlygood.fit` or `onlygood.calibrate` returned, or another Inspector, whose
            model it is then.
        false_alarm_rate: use the threshold that the calibration scores in the file give at this rate, in (0, 1),
            instead of the one in the file. The file stays as it is; `metadata` are those that it would have.
        provider: the hardware that ONNX Runtime uses, "cpu" or one that its installation has ("cuda", ...).
        threads: that share the work on one image when it is called; 0 for one a core. `map` has its own.
        with_map: give anomaly maps; without them large images are inspected faster.
        by_occlusion: make those maps by hiding parts of the image (see `onlygood.occlusion`), which takes some eighty
            inspections each, instead of in the graph. They say something also where the model's latent space has no
            places.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.

    Raises:
        ModelFileError: the file is missing, damaged, of another kind or newer than this onlygood.
        SettingError: a provider that is not installed, or a rate, a limit or a number of threads that cannot be used.

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
        provider: str = "cpu",
        threads: int = 0,
        with_map: bool = True,
        by_occlusion: bool = False,
        max_pixels: int = ReadingLimits.max_pixels,
        max_bytes: int = ReadingLimits.max_bytes,
    ) -> None:
        file, shown = file_and_name(model)
        if false_alarm_rate is not None:
            file = at_rate(file, false_alarm_rate, name=shown).file
        self.file = file
        self.metadata: Metadata = file.metadata
        self.calibration_scores: CalibrationScores | None = file.calibration_scores
        self.limits = ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes)
        from_graph = with_map and not by_occlusion
        self._by_occlusion = with_map and by_occlusion
        self._outputs = [*VERDICT_OUTPUTS, "anomaly_map"] if from_graph else list(VERDICT_OUTPUTS)
        self._shown, self._provider, self._threads = shown, provider, threads
        self._session = self._open(threads)
        self._one_thread: Inspector | None = None
        self._lock = Lock()

    def _open(self, threads: int) -> Any:
        with_map = "anomaly_map" in self._outputs
        content = self.file.content if with_map else keep_outputs(self.file.content, self._outputs)
        return open_model(content, self._shown, provider=self._provider, threads=threads)

    def __repr__(self) -> str:
        guarantee = self.metadata.guarantee
        rate = rate_in_short(guarantee.stated_rate, is_guaranteed=guarantee.is_guaranteed, is_exact=guarantee.is_exact)
        maps = "with maps" if self._by_occlusion or "anomaly_map" in self._outputs else "without maps"
        return f"<Inspector of {shorten(self._shown, NAME_LENGTH)}: {self.metadata.method}, {rate}, {maps}>"

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
                self._one_thread = copy.copy(self)
                self._one_thread._threads, self._one_thread._session = 1, self._open(1)
            return self._one_thread

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
    def window(self) -> tuple[float, float]:
        """The levels of black and white that the model was fitted with."""
        return self.metadata.input.window

    def __call__(self, image: ImageSource, *, name: str | None = None, page: int | None = None) -> Inspection:
        """The verdict on one image.

        Args:
            image: a path, the bytes of a file, a PIL image, or an array uint8 or uint16 [H, W] or [H, W, C].
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
            images: a folder, searched with its sub-folders, or an iterable of images as this object takes them and of
                `NamedImage`. Those in a folder are called by their paths in it, others as when they are inspected
                alone; "image 3" is the fourth of those that have no name.
            threads: images worked on at once, one thread each; 0 for one a core.
            progress: draw a progress bar if stderr is a terminal.

        Raises:
            FolderError: a folder without images.
            SettingError: one image in memory where several are meant, or a negative number of threads.

        Example:
            for each in onlygood.Inspector("part.onnx").map("incoming/"):
                print(each.name, each if isinstance(each, onlygood.ImageError) else each.is_anomaly)
        """
        named = self._named(images)
        total = len(named) if isinstance(named, Sized) else len(images) if isinstance(images, Sized) else None
        return inspect_each(
            self,
            named,
            image=lambda each: each,
            then=lambda _, inspection, __: inspection,
            threads=threads,
            total=total,
            description="inspecting",
            progress=progress,
        )

    def _named(self, images: str | os.PathLike[str] | Iterable[ImageSource | NamedImage]) -> Iterable[NamedImage]:
        """The images with their names."""
        if isinstance(images, str | os.PathLike):
            files = find_images(given_path(images), allow_file=True, limits=self.limits)
            return [NamedImage(file.name, file.path, file.page) for file in files]
        if is_one_in_memory(images) or not isinstance(images, Iterable):
            raise SettingError(
                f"map takes a folder or several images, got one {type(images).__name__}: call the inspector with it, "
                "or give a list"
            )
        return (_with_name(image, position) for position, image in enumerate(images))

    def inspect(self, image: ImageSource, name: str, page: int | None) -> tuple[Inspection, ImageArray]:
        """The verdict on one image, as when this object is called, and the pixels [H, W, C] that it is about."""
        try:
            pixels = read_for(self.metadata, image, name=name, page=page, limits=self.limits)
            started = time.perf_counter()
            values = run(self._session, self._outputs, {"image": pixels[None]})
            latency_ms = 1e3 * (time.perf_counter() - started)
            anomaly_map = values[3][0] if len(values) > len(VERDICT_OUTPUTS) else None
            if self._by_occlusion:
                anomaly_map = occlusion_map(pixels, self._scores)
            found = to_inspection(name, values, anomaly_map=anomaly_map, latency_ms=latency_ms)
            if anomaly_map is not None:
                found = replace(found, pixels=InspectedPixels(pixels, self.map_levels, self.window))
            return found, pixels
        except ImageError as error:
            error.name = name
            raise

    def _scores(self, images: ImageArray) -> NDArray[np.float32]:
        """Scores of several images of one size, float32 [n]."""
        scores: NDArray[np.float32] = run(self._session, ["score"], {"image": images})[0]
        return scores


def as_inspector(model: ModelSource) -> Inspector:
    """An inspector of a model that is given in any way; one that is given as it is.

    Raises:
        ModelFileError: as `Inspector`.
    """
    return model if isinstance(model, Inspector) else Inspector(model)


def inspect_each(
    inspector: Inspector,
    items: Iterable[In],
    *,
    image: Callable[[In], NamedImage],
    then: Callable[[In, Inspection, ImageArray], Out],
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
        named = image(item)
        try:
            return then(item, *alone.inspect(named.image, named.name, named.page))
        except ImageError as error:
            return error

    return track(map_in_order(work, items, threads=threads), total=total, description=description, show=progress)


def _with_name(image: ImageSource | NamedImage, position: int) -> NamedImage:
    if isinstance(image, NamedImage):
        return image
    return NamedImage(name_of(image, position), image)


def read_for(
    metadata: Metadata, image: ImageSource, *, name: str, page: int | None, limits: ReadingLimits
) -> ImageArray:
    """An image's pixels as the model with these metadata takes them.

    Args:
        metadata: of the model.
        image: as `Inspector` takes it.
        name: what errors call it.
        page: of a multi-page TIFF, from 0.
        limits: bounds on pixels and bytes.

    Raises:
        ImageError: it cannot be read, or is not of the kind that this model takes.
    """
    kind = metadata.input
    pixels = read_image(image, name=name, page=page, limits=limits)
    require_depth(pixels, np.dtype(kind.dtype), name)
    return fit_channels(pixels, kind.channels, name)


def to_inspection(
    name: str, verdict: Sequence[Any], *, anomaly_map: NDArray[np.float32] | None, latency_ms: float
) -> Inspection:
    """What a graph said of one image.

    Args:
        name: of the image.
        verdict: the values of VERDICT_OUTPUTS, each [1]; more may follow.
        anomaly_map: as in the inspection.
        latency_ms: as in the inspection.

    Raises:
        ImageError: a score that is not finite.
    """
    # Here and below, the shortest decimal of a float32: 0.05 stays 0.05 and does not become 0.0500000007.
    score = float(str(verdict[0][0]))
    if not np.isfinite(score):
        raise ImageError(f"{name} has a score that is not finite, {score}: report this with the image")
    return Inspection(
        name=name,
        score=score,
        p_value=float(str(verdict[1][0])),
        is_anomaly=bool(verdict[2][0]),
        anomaly_map=anomaly_map,
        latency_ms=latency_ms,
    )
