"""Features of large images: those of their tiles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import onnx

from onlygood.datasets.sources import Source
from onlygood.features.extraction import Embedder, Features, extract_augmentations
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.tiles import Tiling
from onlygood.graph.view import VIEW
from onlygood.images.reading import ImageArray
from onlygood.settings import FitSettings

# Large images that are kept in memory while their tiles are looked at: so many, and more up to so many bytes. Threads
# that leave parts of the images out work on an image each, which would else be read again for every tile.
KEPT_IMAGES = 3
KEPT_BYTES = 400_000_000

# Top, left, bottom and right of each tile.
Boxes: TypeAlias = list[tuple[int, int, int, int]]


class Tiles:
    """The tiles of large images, one image after another. Thread-safe.

    Args:
        images: the large images.
        tiling: how they are cut.
        view: the subgraphs from `image` to what is cut; none where it is the image itself.
        cut: the name of what is cut.
    """

    def __init__(
        self, images: Sequence[Source], tiling: Tiling, view: Sequence[onnx.ModelProto], cut: str = VIEW
    ) -> None:
        self.images = images
        self.tiling = tiling
        self._view: Any = None
        self._cut = cut
        if view:
            self._view = open_session(join(*view, outputs=[cut]).SerializeToString(), threads=1)
        self._kept: OrderedDict[int, tuple[ImageArray, Boxes]] = OrderedDict()
        self._lock = Lock()
        self._locks = [Lock() for _ in images]

    @property
    def sources(self) -> list[Source]:
        """A source a tile, those of an image in the order of `Tiling.boxes`; each is called what its image is."""
        return [
            Source(image.name, image.label, partial(self.read, number, tile), image.file_format, image.is_copy)
            for number, image in enumerate(self.images)
            for tile in range(len(self.tiling))
        ]

    def read(self, number: int, tile: int) -> ImageArray:
        """The pixels of one tile, [H, W, C].

        Args:
            number: of the image.
            tile: its place among the tiles.
        """
        shown, boxes = self._shown(number)
        top, left, bottom, right = boxes[tile]
        return np.ascontiguousarray(shown[top:bottom, left:right])

    def _shown(self, number: int) -> tuple[ImageArray, Boxes]:
        """What is cut of an image, and where each tile is in it."""
        with self._locks[number]:
            with self._lock:
                if number in self._kept:
                    self._kept.move_to_end(number)
                    return self._kept[number]
            image = self.images[number].read()
            shown: ImageArray = (
                image if self._view is None else run(self._view, [self._cut], {"image": image[None]})[0][0]
            )
            found = shown, self.tiling.boxes((shown.shape[0], shown.shape[1]))
            with self._lock:
                self._kept[number] = found
                while len(self._kept) > KEPT_IMAGES and self._bytes > KEPT_BYTES:
                    self._kept.popitem(last=False)
            return found

    @property
    def _bytes(self) -> int:
        return sum(image.nbytes for image, _ in self._kept.values())


def extract_tiles(
    whole: Features,
    tiles: Tiles,
    embedder: Embedder,
    settings: FitSettings,
    *,
    rows_each: Sequence[int],
    show_progress: bool,
) -> Features:
    """Embed every tile of images that were looked at as wholes.

    Args:
        whole: of the images.
        tiles: of the same images.
        embedder: from `tile` to the embeddings.
        settings: of the fit; `threads` and `seed` matter here.
        rows_each: patches sampled of each tile, for each embedding.
        show_progress: draw a bar if stderr is a terminal.
    """
    count = len(tiles.tiling)
    found = Features(embedder, channels=whole.channels, tiles=count)
    extract_augmentations(
        found, tiles.sources, settings, rows_each=rows_each, show_progress=show_progress, description="tiles"
    )
    # What is known of an image is known of all its tiles.
    found.digests = [digest for digest in whole.digests for _ in range(count)]
    found.given = len(found.sources)
    return found
