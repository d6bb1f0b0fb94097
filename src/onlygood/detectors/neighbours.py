"""Detectors on one vector an image: how they are fitted. What they compute is in `neighbours_head`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.graph.neighbours import SPARE_CANDIDATES, OutlierFactors

# Templates whose distances to all others are in memory at once.
_CHUNK = 1000


def outlier_factors(templates: NDArray[np.float32], neighbours: int) -> OutlierFactors:
    """k-distances and local reachability densities of the templates among one another.

    Args:
        templates: float32 [m, q].
        neighbours: k, below m.

    Source: Breunig et al., SIGMOD 2000, definitions 3 to 6; 1e-10 is added to mean distances as scikit-learn does, so
    that copies have a density that is large and not infinite.
    """
    rows = templates.astype(np.float64)
    norms = np.einsum("mq,mq->m", rows, rows)
    nearest = np.empty((len(rows), neighbours), dtype=np.int64)
    distances = np.empty((len(rows), neighbours))
    count = min(len(rows) - 1, neighbours + SPARE_CANDIDATES)
    for begin in range(0, len(rows), _CHUNK):
        part = np.arange(begin, min(begin + _CHUNK, len(rows)))
        squared = norms - 2.0 * (rows[part] @ rows.T)
        squared[np.arange(len(part)), part] = np.inf  # nothing is its own neighbour
        candidates = np.argpartition(squared, count - 1, axis=1)[:, :count]
        for place, row in enumerate(part):
            exact = np.linalg.norm(rows[candidates[place]] - rows[row], axis=1)
            order = np.argsort(exact, kind="stable")[:neighbours]
            nearest[row], distances[row] = candidates[place][order], exact[order]
    k_distances = distances[:, -1]
    reaches = np.maximum(distances, k_distances[nearest])
    densities = 1.0 / (reaches.mean(axis=1) + 1e-10)
    return OutlierFactors(k_distances.astype(np.float32), densities.astype(np.float32))
