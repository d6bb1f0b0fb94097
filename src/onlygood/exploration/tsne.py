"""Vectors laid out on a plane so that near ones stay near: principal components, then t-SNE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onlygood._extras import need_extra
from onlygood.errors import FolderError, SettingError

LEAST_IMAGES = 5
COMPONENTS = 50
PERPLEXITY = 30.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each vector lies on the plane.

    Attributes:
        points: float64 [n, 2]; only which are near one another means something.
        perplexity: about how many neighbours of each are looked at.
        components: how many principal components were kept.
        variance_kept: the share of the vectors' variance that those hold, in [0, 1].
    """

    points: NDArray[np.float64]
    perplexity: float
    components: int
    variance_kept: float


def check_perplexity(perplexity: float | None, images: int) -> None:
    """Refuse too few images, and a perplexity that does not go with their number.

    Raises:
        FolderError: fewer than LEAST_IMAGES.
        SettingError: a perplexity that is not between 1 and the number of images.
    """
    if images < LEAST_IMAGES:
        raise FolderError(
            f"a map needs at least {LEAST_IMAGES} images that can be read, got {images}: give more of them"
        )
    if perplexity is not None and not 1 <= perplexity < images:
        shown = f"{perplexity:g}" if isinstance(perplexity, float) else perplexity
        raise SettingError(
            f"perplexity must be at least 1 and below the number of images, {images}, got {shown}: change "
            "it, or leave it out"
        )


def lay_out(vectors: NDArray[np.float32], *, perplexity: float | None, seed: int) -> Layout:
    """Vectors on a plane; equal for equal seeds.

    Args:
        vectors: float32 [n, d]; nothing is standardised.
        perplexity: as in `Layout`; PERPLEXITY, or a third of the other vectors where that is less, unless given.
        seed: of what is random.

    Raises:
        FolderError, SettingError: as `check_perplexity`.
        MissingExtraError: scikit-learn is not installed.

    Source: van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008, with principal components first, as
    there; the plane begins as the first two of them (Kobak and Berens, 2019) instead of at random.
    """
    need_extra("scikit-learn", module="sklearn", extra="report", purpose="explore")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count = len(vectors)
    check_perplexity(perplexity, count)
    chosen = min(PERPLEXITY, (count - 1) / 3) if perplexity is None else float(perplexity)
    components = min(COMPONENTS, *vectors.shape)
    if (vectors == vectors[0]).all():  # no direction to lay them out in
        return Layout(points=np.zeros((count, 2)), perplexity=chosen, components=components, variance_kept=1.0)
    analysis = PCA(n_components=components, random_state=seed)
    reduced = analysis.fit_transform(vectors.astype(np.float64))
    if components < 2:
        reduced = np.pad(reduced, ((0, 0), (0, 2 - components)))
    # Several threads add in an order of their own each time, and t-SNE makes another map of the last bits.
    with threadpool_limits(limits=1, user_api="openmp"):
        points = TSNE(perplexity=chosen, init="pca", learning_rate="auto", random_state=seed).fit_transform(reduced)
    return Layout(
        points=np.asarray(points, dtype=np.float64),
        perplexity=chosen,
        components=components,
        variance_kept=min(1.0, float(analysis.explained_variance_ratio_.sum())),
    )


def align_points(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points, rotated and mirrored so that they lie as near to others as possible; neither changes what a map says.

    Args:
        points: [n, 2].
        others: [n, 2], in the same order.

    Source: the orthogonal Procrustes problem (Schönemann, 1966).
    """
    centred = points - points.mean(axis=0)
    left, _, right = np.linalg.svd(centred.T @ (others - others.mean(axis=0)))
    turned: NDArray[np.float64] = centred @ (left @ right)
    return turned
