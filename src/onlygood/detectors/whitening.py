"""Whitening: coordinates in which good pictures, or their patches, vary equally in all directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Added to every eigenvalue of the covariance, as a share of their mean: directions in which good pictures hardly vary
# would otherwise drown all others in their noise. Of vectors of whole pictures.
WHOLE_SHRINKAGE = 0.1


def learn_whitening(rows: NDArray[np.float32], *, shrinkage: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The rows' mean, [d], and the whitening by their (shrunk) covariance, [d, d]."""
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = rows - mean
    count, width = rows.shape
    if 2 * count < width:
        # Most directions have no variance at all. In the symmetric form, which gives the same distances, only the
        # others need be found.
        _, singular, directions = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
        variances = np.square(singular) / count
        spread = float(variances.sum() / width) or 1.0
        rest = 1.0 / np.sqrt(shrinkage * spread)
        stretch = 1.0 / np.sqrt(variances + shrinkage * spread) - rest
        whitening = (directions.T * stretch) @ directions
        whitening[np.diag_indices(width)] += rest
        return mean, whitening.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / count
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    # Where nothing varies at all the spread is 0: any positive number then gives distances of 0.
    spread = float(eigenvalues.mean()) or 1.0
    whitening = (eigenvectors / np.sqrt(np.maximum(eigenvalues, 0.0) + shrinkage * spread)).astype(np.float32)
    return mean, whitening


def precision_of(whitening: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse covariance, [d, d], that a whitening [d, q] stands for."""
    whitening_64 = whitening.astype(np.float64)
    return (whitening_64 @ whitening_64.T).astype(np.float32)
