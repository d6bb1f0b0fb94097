"""Images as peers see them: the mean over the patches of what method `patch` sees at two taps.

The part of a model file from `image` to `embedding` does it. That part does not depend on what the model learned, only
on its settings and on the kind of its images, so it is cut from a model of made-up images.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.datasets.tasks import TaskImage
from benchmarks.fitting import describe, fit_method
from benchmarks.model_parts import part_of
from onlygood import ImageFormatError, read_image

EMBEDDING = {"backbone": "lite0", "taps": ("stage2", "stage4"), "input_size": 224}
"""Settings of method `patch` that decide what peers see."""
_MADE_UP, _SIDE = 12, 64
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Embedding:
    """Images to vectors [d].

    Attributes:
        model: the graph from `image` to `embedding`.
        depth: bits a channel of the images that it takes, 8 or 16.
        threads: images embedded at once, and threads on the one image that is inspected; 0 for one a core.
        settings: what decides the vectors.
    """

    model: onnx.ModelProto
    depth: int
    threads: int
    settings: dict[str, Any]

    @classmethod
    def of(cls, good: Sequence[TaskImage], settings: dict[str, Any], *, threads: int) -> Embedding:
        """The embedding of images of the kind of these.

        Raises:
            ImageError: the first cannot be read.
            FolderError: 16-bit images that no model can be fitted to.
            BackboneError, SettingError: settings that cannot be used.
        """
        depth, (black, white) = window_of(good)
        made_up = np.random.default_rng(0).integers(black, white, (_MADE_UP, _SIDE, _SIDE), f"uint{depth}")
        model = fit_method(list(made_up), "patch", {**settings, "window": (black, white), "bank_size": 10})
        metadata = describe(model)
        described = {
            "backbone": metadata["backbone"]["name"],
            "taps": metadata["detector"]["levels"][0]["taps"],
            "input_shape": metadata["input"]["input_shape"],
            "window": [black, white],
            "pooling": "mean over the grid",
            "standardised": "by mean and standard deviation of the good images",
        }
        return cls(part_of(model, ["image"], ["embedding"]), depth, threads, described)

    def read(self, image: TaskImage) -> NDArray[Any]:
        """The pixels, if they have the bit depth of the good images.

        Raises:
            ImageFormatError: they have not.
            ImageError: an image that cannot be read.
        """
        return read_at_depth(image, self.depth)

    def of_good(self, good: Iterable[TaskImage]) -> NDArray[np.float64]:
        """Vectors of images, [n, d]: several images at once, each on one thread."""
        embed = self._embedder(threads=1)
        with ThreadPoolExecutor(self.threads or os.cpu_count()) as pool:
            return np.stack(list(pool.map(lambda image: embed(self.read(image)), good)))

    def inspector(self) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        """What makes one image's vector as fast as possible: all threads on that image."""
        return self._embedder(threads=self.threads)

    def _embedder(self, *, threads: int) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, _ERRORS_ONLY
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

        def embed(pixels: NDArray[Any]) -> NDArray[np.float64]:
            (embedding,) = session.run(["embedding"], {"image": pixels[None]})
            return np.asarray(embedding[0].mean(axis=(0, 1), dtype=np.float64))

        return embed


def window_of(good: Sequence[TaskImage]) -> tuple[int, tuple[int, int]]:
    """Bits a channel of the good images, and the levels of black and white that a fit to them decides.

    Raises:
        ImageError: the first cannot be read.
        FolderError: 16-bit images that no model can be fitted to.
    """
    if read_image(good[0].source, name=good[0].name).dtype == np.uint8:
        return 8, (0, 255)
    model = fit_method([read_at_depth(image, 16) for image in good], "knn")
    black, white = describe(model)["input"]["window"]
    return 16, (int(black), int(white))


def read_at_depth(image: TaskImage, depth: int) -> NDArray[Any]:
    """The pixels of an image, [H, W, C], if they have so many bits a channel.

    Raises:
        ImageFormatError: they have not.
        ImageError: it cannot be read.
    """
    pixels: NDArray[Any] = read_image(image.source, name=image.name)
    if pixels.dtype.itemsize * 8 != depth:
        raise ImageFormatError(
            f"{image.name} has {pixels.dtype.itemsize * 8} bits a channel, the good images have {depth}: give images "
            "of one camera"
        )
    return pixels
