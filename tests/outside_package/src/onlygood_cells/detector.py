"""`cells`: mean and standard deviation of each cell's level over good images."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood.detectors.base import Detector, Embedding, FitTask, GoodScores, Learned, Split
from onlygood.features.extraction import Features
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join, subgraph
from onlygood_cells.settings import Cells

# A cell that never changes is not infinitely sure: half of one of 255 levels.
LEAST_DEVIATION = 0.5 / 255


class CellsDetector(Detector):
    """The detector of `Cells`."""

    def __init__(self, settings: Cells, task: FitTask) -> None:
        self.side = settings.cells
        self.kind = task.kind

    @property
    def embedding(self) -> Embedding:
        """The level of each cell, float32 [N, side, side, 1], 0 for black and 1 for white."""
        window = self.kind.window
        text = f"""
        cells ({self.kind.dtype.name}[N, H, W, C] image) => (float[N, {self.side}, {self.side}, 1] embedding) {{
            cell_levels = Cast <to = 1> (image)
            cell_grey = ReduceMean <keepdims = 1> (cell_levels, cell_colours)
            cell_means = Resize <mode = "linear", antialias = 1, axes = [1, 2]> (cell_grey, , , cell_sides)
            cell_above = Sub (cell_means, cell_black)
            embedding = Div (cell_above, cell_width)
        }}
        """
        arrays = {
            "cell_colours": np.array([3]),
            "cell_sides": np.array([self.side, self.side]),
            "cell_black": np.array(window.black, dtype=np.float32),
            "cell_width": np.array(window.white - window.black, dtype=np.float32),
        }
        return Embedding(subgraphs=[subgraph(text, arrays)], input_shape=(self.side, self.side))

    def learn(self, features: Features, split: Split) -> Learned:
        """Mean and standard deviation of the images to learn from; leave-one-out without each group in turn."""
        cells = np.stack([features.embedding(position) for position in range(len(features.sources))])
        groups, fitted = np.array(split.groups), ~split.held_out
        finished = _head(cells[fitted])

        def unseeing(position: int) -> NDArray[np.float32]:
            others = fitted & (groups != groups[position])
            head = finished if split.held_out[position] else _head(cells[others])
            return _patch_scores(head, features.scored.embedding(position))

        maps = [unseeing(position) for position in range(features.given)]
        return Learned(
            head=[finished],
            scores=GoodScores(
                raw=np.array([patches.max() for patches in maps], dtype=np.float32),
                typical=np.array([np.median(patches) for patches in maps], dtype=np.float64),
                highest=np.array([patches.max() for patches in maps], dtype=np.float32),
                patch_scores=lambda position: maps[position],
            ),
            finished_score=lambda position: float(_patch_scores(finished, features.embedding(position)).max()),
            description=f"{self.side} x {self.side} cells",
            facts={"cells": self.side, "deviation": float(cells[fitted].std(axis=0).mean())},
        )


def _head(cells: NDArray[np.float32]) -> onnx.ModelProto:
    """From `embedding` to `raw_score` and `patch_scores`, learned from the cells of good images [n, side, side, 1]."""
    side = cells.shape[1]
    text = f"""
    head (float[N, {side}, {side}, 1] embedding) => (float[N] raw_score, float[N, {side}, {side}] patch_scores) {{
        cell_difference = Sub (embedding, cell_mean)
        cell_deviations = Div (cell_difference, cell_deviation)
        cell_distances = Abs (cell_deviations)
        patch_scores = ReduceMean <keepdims = 0> (cell_distances, cell_last)
        raw_score = ReduceMax <keepdims = 0> (patch_scores, cell_places)
    }}
    """
    arrays = {
        "cell_mean": cells.mean(axis=0),
        "cell_deviation": np.maximum(cells.std(axis=0), LEAST_DEVIATION).astype(np.float32),
        "cell_last": np.array([3]),
        "cell_places": np.array([1, 2]),
    }
    return subgraph(text, arrays)


def _patch_scores(head: onnx.ModelProto, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    session = open_session(join(head, outputs=["patch_scores"]).SerializeToString(), threads=1)
    (patches,) = run(session, ["patch_scores"], {"embedding": embedding[None]})
    return np.asarray(patches[0])
