"""Whitening: coordinates in which good images, or their patches, vary equally in all directions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# Added to every eigenvalue of the covariance, as a share of their mean: directions in which good images hardly vary
# would otherwise drown all others in their noise. Of vectors of whole images, and of the many patches.
WHOLE_SHRINKAGE = 0.1
PATCH_SHRINKAGE = 0.01
# Moments whose variance is a smaller share of their mean square hold little but rounding errors of float32.
LEAST_VARIANCE = 1e-4


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
    return mean, _inverse_root((centred.T @ centred).astype(np.float64) / count, shrinkage)


@dataclass(frozen=True)
class Moments:
    """What a whitening is learned from, of some rows: sums that can be taken away from one another.

    Attributes:
        count: of rows; no whole number where these stand for others.
        total: float64 [d], sum of the rows, less the origin.
        products: float64 [d, d], sum of the products of their coordinates, less the origin.
    """

    count: float
    total: NDArray[np.float64] = field(repr=False)
    products: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, rows: NDArray[np.float32], origin: NDArray[np.float32]) -> Moments:
        """The moments of rows [n, d] about an origin [d], which should lie near their mean."""
        centred = rows - origin
        return cls(
            count=len(rows),
            total=centred.sum(axis=0, dtype=np.float64),
            products=(centred.T @ centred).astype(np.float64),
        )

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of rows."""
        return Moments(self.count + other.count, self.total + other.total, self.products + other.products)

    def __sub__(self, other: Moments) -> Moments:
        """The moments of the rows without some of them."""
        return Moments(self.count - other.count, self.total - other.total, self.products - other.products)

    def about(self, origin: NDArray[np.float64]) -> Moments:
        """The moments of the same rows about another origin [d], given as seen from this one."""
        crossed = np.outer(origin, self.total)
        return Moments(
            count=self.count,
            total=self.total - self.count * origin,
            products=self.products - crossed - crossed.T + self.count * np.outer(origin, origin),
        )

    def whitening(
        self, origin: NDArray[np.float32], *, shrinkage: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """What `learn_whitening` gives for the rows: their mean [d] and a whitening [d, d] with the same distances.

        None where sums do not tell and the rows themselves are needed: where these are fewer than half of d, or so much
        alike, and so far from the origin, that what they vary by is lost in rounding.
        """
        if 2 * self.count < len(self.total):
            return None
        mean = self.total / self.count
        covariance = self.products / self.count - np.outer(mean, mean)
        variance, second_moment = float(np.trace(covariance)), float(np.trace(self.products)) / self.count
        if variance < LEAST_VARIANCE * second_moment:
            return None
        return (origin + mean).astype(np.float32), _inverse_factor(covariance, shrinkage)


def _inverse_factor(covariance: NDArray[np.float64], shrinkage: float) -> NDArray[np.float32]:
    """A whitening of a covariance [d, d] by its Cholesky factor, which costs a fraction of one by eigenvectors."""
    spread = float(np.trace(covariance)) / len(covariance) or 1.0
    try:
        factor = np.linalg.cholesky(covariance + shrinkage * spread * np.eye(len(covariance)))
    except np.linalg.LinAlgError:  # rounding has made it indefinite by more than the shrinkage
        return _inverse_root(covariance, shrinkage)
    whitening: NDArray[np.float32] = np.linalg.inv(factor).T.astype(np.float32)
    return whitening


def _inverse_root(covariance: NDArray[np.float64], shrinkage: float) -> NDArray[np.float32]:
    """The whitening of a covariance [d, d]."""
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    # Where nothing varies at all the spread is 0: any positive number then gives distances of 0.
    spread = float(eigenvalues.mean()) or 1.0
    whitening: NDArray[np.float32] = (eigenvectors / np.sqrt(np.maximum(eigenvalues, 0.0) + shrinkage * spread)).astype(
        np.float32
    )
    return whitening


def precision_of(whitening: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse covariance, [d, d], that a whitening [d, q] stands for."""
    whitening_64 = whitening.astype(np.float64)
    return (whitening_64 @ whitening_64.T).astype(np.float32)
