"""Patch memory: how it is fitted. What it computes is in `onlygood.graph.patch_head`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onlygood.coreset import greedy_k_center
from onlygood.detectors.whitening import WHOLE_SHRINKAGE, learn_whitening
from onlygood.graph.patch_head import Balance, Memory, PatchMemory
from onlygood.splits import folds_of_groups

# Most patches that the statistics and the coreset see, however many pictures there are: 25 MB at 152 channels.
SAMPLE_ROWS = 40_000
# As WHOLE_SHRINKAGE: patches are more than whole pictures, so less is added.
LOCAL_SHRINKAGE = 0.01


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
        overall=_fit_memory(wholes, whole_owners, shrinkage=WHOLE_SHRINKAGE, bank_size=bank_size, seed=seed),
        top_patches=top_patches,
    )


def memories_without(
    memory: PatchMemory,
    patches: NDArray[np.float32],
    patch_owners: NDArray[np.int64],
    wholes: NDArray[np.float32],
    whole_owners: NDArray[np.int64],
    *,
    seed: int,
) -> Iterator[tuple[frozenset[int], PatchMemory]]:
    """The memory as it would be to groups of pictures that it has not seen, for a part of the groups at a time.

    The rows stay, but mean and whitening are learned without these groups. Taking out a group's rows alone is not
    enough: a whitening that has seen a picture makes it look ordinary, the more so the fewer pictures there are for
    its many directions (with fewer pictures than directions it puts all of them at one distance from one another, and
    everything new much farther).

    Args:
        memory: what `fit_patch_memory` made of the other arguments.
        patches: float32 [n, d].
        patch_owners: int64 [n].
        wholes: float32 [pictures, d].
        whole_owners: int64 [pictures], of at least two groups.
        seed: of which groups go together.

    Yields:
        Groups, and the memory for them; their own rows are still in it, for `Memory.row_norms` to take out. Every
        group comes once, in at most FOLDS parts.
    """
    for part in folds_of_groups(whole_owners, seed=seed):
        local_rows, overall_rows = patches[~np.isin(patch_owners, part)], wholes[~np.isin(whole_owners, part)]
        unseen = PatchMemory(
            local=_rewhiten(memory.local, local_rows, shrinkage=LOCAL_SHRINKAGE),
            overall=_rewhiten(memory.overall, overall_rows, shrinkage=WHOLE_SHRINKAGE),
            top_patches=memory.top_patches,
        )
        yield frozenset(part.tolist()), unseen


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
    """Whitening, then the rows that cover all others best."""
    mean, whitening = learn_whitening(rows, shrinkage=shrinkage)
    whitened = np.asarray((rows - mean) @ whitening, dtype=np.float32)
    kept = greedy_k_center(whitened, bank_size, seed=seed)
    return Memory(mean=mean, whitening=whitening, memory_bank=whitened[kept], owners=owners[kept])


def _rewhiten(memory: Memory, rows: NDArray[np.float32], *, shrinkage: float) -> Memory:
    """The same memory with mean and whitening of these rows."""
    mean, whitening = learn_whitening(rows, shrinkage=shrinkage)
    # The bank is (b - old mean) @ old whitening; this change of basis is near the identity, so rounding stays small.
    change = np.linalg.solve(memory.whitening.astype(np.float64), whitening.astype(np.float64)).astype(np.float32)
    moved = memory.memory_bank @ change + (memory.mean - mean) @ whitening
    return replace(memory, mean=mean, whitening=whitening, memory_bank=np.asarray(moved, dtype=np.float32))


def _spread(scores: NDArray[np.float32]) -> float:
    """The standard deviation; 1 where all scores are (nearly) equal and it says nothing."""
    deviation = float(np.std(scores, dtype=np.float64))
    return deviation if deviation > 1e-6 * max(1.0, float(np.abs(scores).max())) else 1.0
