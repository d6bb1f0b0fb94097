"""Fitting large images in tiles: how they are cut, and what the scores of tiles say of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._plurals import pluralize
from onlygood.detectors.base import GoodScores, Split
from onlygood.errors import SettingError
from onlygood.features.input_kind import InputKind
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.tiles import PATCH_SCORES, RAW_SCORE, TILE, Tiling, assembled, tiled
from onlygood.graph.view import Region
from onlygood.metadata import TilesFacts
from onlygood.settings import AUTO, FitSettings, MethodSettings

# Neighbouring tiles overlap by this share of their side unless told: what is no larger lies whole in one of them.
OVERLAP = 1 / 8
# Images that are not larger than a tile by this factor are looked at as they are, unless a size of tiles is given.
LEAST_LARGER = 1.25


def tiling_for(
    settings: FitSettings, method: MethodSettings, size: tuple[int, int], region: Region | None
) -> tuple[Tiling | None, list[str]]:
    """How images of this size are cut into tiles; None where they are looked at as they are. And notes about it.

    Args:
        settings: of the fit.
        method: which; it says how large a tile it looks at as it is.
        size: height and width of what is looked at of the images, in pixels.
        region: of interest, whose box that is; None for everything.

    Raises:
        SettingError: tiles that are larger than the images.
    """
    if settings.tiles is None:
        return None, []
    shown = f"{size[1]} x {size[0]} pixels"
    if settings.tiles == AUTO:
        side = getattr(method, "input_size", None) or method.tile_side
        if max(size) <= LEAST_LARGER * side:
            note = (
                f"The good images, of {shown}, are not cut into tiles, as {side} x {side} pixels can be looked at as "
                "they are."
            )
            return None, [note]
        overlap = round(OVERLAP * side)
    else:
        side, *rest = (int(part) for part in settings.tiles.split(","))
        overlap = rest[0] if rest else round(OVERLAP * side)
    if side > max(size):
        raise SettingError(
            f"tiles must be smaller than what is looked at of the images, {shown}, got {side} pixels: lower tiles, or "
            "leave it out"
        )
    looked_at = None
    if region is not None and not region.is_box:
        top, left, bottom, right = region.box
        looked_at = region.mask[top:bottom, left:right]
    tiling = Tiling.of(size, side, overlap, looked_at=looked_at)
    height, width = tiling.size
    each = f"{pluralize(len(tiling), 'tile')} of {width} x {height} pixels"
    return tiling, [f"Each image is looked at in {each}, and is as anomalous as the most anomalous of them."]


def tile_kind(kind: InputKind, tiling: Tiling) -> InputKind:
    """The kind of a tile of images of a kind."""
    return replace(kind, size=tiling.size, source=TILE)


def tile_split(split: Split, count: int) -> Split:
    """Of tiles, so many an image, those of an image side by side: each is in the group of its image."""
    return Split(groups=np.repeat(split.groups, count).tolist(), held_out=np.repeat(split.held_out, count))


def tiles_facts(tiling: Tiling) -> TilesFacts:
    """What the metadata say of tiles."""
    return TilesFacts(
        size=tiling.size,
        rows=len(tiling.rows.starts),
        columns=len(tiling.columns.starts),
        count=len(tiling),
        image_size=(tiling.rows.side, tiling.columns.side),
    )


def of_wholes(scores: GoodScores, tiling: Tiling, *, opset: int) -> GoodScores:
    """Scores of images from those of their tiles: that of the most anomalous, as the file has it.

    Args:
        scores: of the tiles, those of an image side by side.
        tiling: how images are cut.
        opset: of the standard operators.
    """
    count = len(tiling)
    session: Any = None

    def patch_scores(position: int) -> NDArray[np.float32]:
        nonlocal session
        maps = np.stack([scores.patch_scores(position * count + tile) for tile in range(count)])[:, None]
        if session is None:
            grid = (maps.shape[2], maps.shape[3])
            graph = join(assembled(tiling, grid, opset=opset), outputs=[RAW_SCORE, PATCH_SCORES])
            session = open_session(graph.SerializeToString(), threads=1)
        feeds = {"tile_maps": maps, "tile_scores": np.zeros(maps.shape[:2], dtype=np.float32)}
        whole: NDArray[np.float32] = run(session, [PATCH_SCORES], feeds)[0][0]
        return whole

    return GoodScores(
        raw=scores.raw.reshape(-1, count).max(axis=1),
        # NaN where the maps of some tiles were not looked at.
        typical=np.median(scores.typical.reshape(-1, count), axis=1),
        highest=scores.highest.reshape(-1, count).max(axis=1),
        patch_scores=patch_scores,
    )


def highest_finished(score: Callable[[int], float], count: int) -> Callable[[int], float]:
    """Gives the finished detector's raw score of the image at a position, from what it gives for tiles.

    Args:
        score: of the tile at a position.
        count: tiles of an image.
    """
    return lambda position: max(score(position * count + tile) for tile in range(count))


def in_tiles(
    subgraphs: Sequence[onnx.ModelProto],
    tiling: Tiling,
    grid: tuple[int, ...],
    *,
    source: str,
    dtype: np.dtype[np.generic],
    opset: int,
) -> list[onnx.ModelProto]:
    """The subgraphs from an image to its raw score and patch scores, by way of its tiles.

    Args:
        subgraphs: from `tile` to `raw_score` and `patch_scores`.
        tiling: how images are cut.
        grid: height and width of the patch scores of a tile.
        source: name of what is cut.
        dtype: uint8 or uint16, of it.
        opset: of the standard operators.
    """
    inner = join(*subgraphs, outputs=[RAW_SCORE, PATCH_SCORES])
    height, width = grid
    return [
        tiled(inner, tiling, (height, width), source=source, dtype=dtype, opset=opset),
        assembled(tiling, (height, width), opset=opset),
    ]
