"""Patch memory: how it is fitted. What it computes is in `onlygood.graph.patch_head`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onlygood.coreset import greedy_k_center
from onlygood.graph.patch_head import Balance, Memory, PatchMemory

# Most patches that the statistics and the coreset see, however many pictures there are: 25 MB at 152 channels.
SAMPLE_ROWS = 40_000
# Added to every eigenvalue of the covariance, as a share of their mean: directions in which good pictures hardly vary
# would otherwise drown all others in their noise. Whole pictures are fewer than patches, so more is added there.
LOCAL_SHRINKAGE = 0.01
OVERALL_SHRINKAGE = 0.1


def patches_per_picture(pictures: int, patches: int) -> int:
    """How many patches of each picture enter the sample, so that it stays below SAMPLE_ROWS if it can."""
    return min(patches, max(1, SAMPLE_ROWS // pictures))


def fit_patch_memory(
    patches: NDArray[np.float32],
    patch_owners: NDArray[np.int64],
    wholes: NDArray[np.float32],
    whole_owners: NDArray[np.int64],
    *,
    bank_size: int,
    top_patches: int,
    seed: int,
) -> PatchMemory:
    """A patch memory from good pictures.

    Args:
        patches: float32 [n, d], a sample of the embeddings of their patches.
        patch_owners: int64 [n], the group of pictures that each comes from.
        wholes: float32 [pictures, d], the mean embedding of each picture.
        whole_owners: int64 [pictures], the group of each.
        bank_size: most rows to keep, of patches and of pictures.
        top_patches: how many of a picture's highest patch scores make its local score.
        seed: of the coresets' first rows.
    """
    return PatchMemory(
        local=_fit_memory(patches, patch_owners, shrinkage=LOCAL_SHRINKAGE, bank_size=bank_size, seed=seed),
        overall=_fit_memory(wholes, whole_owners, shrinkage=OVERALL_SHRINKAGE, bank_size=bank_size, seed=seed),
        top_patches=top_patches,
    )


def balance(local_scores: NDArray[np.float32], overall_scores: NDArray[np.float32], weight: float) -> Balance:
    """The weights that give local scores of good pictures unit spread, and overall scores the spread `weight`.

    Args:
        local_scores: float32 [n], of good pictures against a memory without them.
        overall_scores: float32 [n], likewise.
        weight: of the overall score, in local scores' standard deviations.
    """
    return Balance(local=1.0 / _spread(local_scores), overall=weight / _spread(overall_scores))


def _fit_memory(
    rows: NDArray[np.float32], owners: NDArray[np.int64], *, shrinkage: float, bank_size: int, seed: int
) -> Memory:
    """Whitening from mean and (shrunk) covariance, then the rows that cover all others best."""
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(rows)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    # Where nothing varies at all the spread is 0: any positive number then gives distances of 0.
    spread = float(eigenvalues.mean()) or 1.0
    whitening = (eigenvectors / np.sqrt(np.maximum(eigenvalues, 0.0) + shrinkage * spread)).astype(np.float32)
    whitened = centred @ whitening
    kept = greedy_k_center(whitened, bank_size, seed=seed)
    return Memory(mean=mean.astype(np.float32), whitening=whitening, memory_bank=whitened[kept], owners=owners[kept])


def _spread(scores: NDArray[np.float32]) -> float:
    """The standard deviation; 1 where all scores are (nearly) equal and it says nothing."""
    deviation = float(np.std(scores, dtype=np.float64))
    return deviation if deviation > 1e-6 * max(1.0, float(np.abs(scores).max())) else 1.0
