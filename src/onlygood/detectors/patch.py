"""Patch memory: how it is fitted. What it computes is in `onlygood.graph.patch_head`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.coreset import greedy_k_center
from onlygood.graph.patch_head import PatchMemory

# Most patches that the statistics and the coreset see, however many pictures there are: 25 MB at 152 channels.
SAMPLE_ROWS = 40_000
# Added to every eigenvalue of the covariance, as a share of their mean: directions in which good patches hardly vary
# would otherwise drown all others in their noise.
SHRINKAGE = 0.01


def patches_per_picture(pictures: int, patches: int) -> int:
    """How many patches of each picture enter the sample, so that it stays below SAMPLE_ROWS if it can."""
    return min(patches, max(1, SAMPLE_ROWS // pictures))


def fit_patch_memory(
    sample: NDArray[np.float32], owners: NDArray[np.int64], *, bank_size: int, top_patches: int, seed: int
) -> PatchMemory:
    """A patch memory from a sample of good patches.

    1. Mean and covariance of the sample give the whitening: eigenvectors over the root of their (shrunk) eigenvalues.
    2. Greedy k-center keeps the rows that cover the whitened sample best.

    Args:
        sample: float32 [n, d], embeddings of good patches.
        owners: int64 [n], the group of pictures that each comes from.
        bank_size: most rows to keep.
        top_patches: how many of a picture's highest patch scores make its score.
        seed: of the coreset's first row.
    """
    mean = sample.mean(axis=0, dtype=np.float64)
    centred = sample - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(sample)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    # Where nothing varies at all the spread is 0: any positive number then gives distances of 0.
    spread = float(eigenvalues.mean()) or 1.0
    whitening = (eigenvectors / np.sqrt(np.maximum(eigenvalues, 0.0) + SHRINKAGE * spread)).astype(np.float32)
    whitened = centred @ whitening
    kept = greedy_k_center(whitened, bank_size, seed=seed)
    return PatchMemory(
        mean=mean.astype(np.float32),
        whitening=whitening,
        memory_bank=whitened[kept],
        owners=owners[kept],
        top_patches=top_patches,
    )
