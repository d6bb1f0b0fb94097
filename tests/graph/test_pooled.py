"""Heads on pooled features: distances, and Grad-CAM in closed form beside autograd's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from onlygood.detectors.neighbours import outlier_factors  # noqa: E402
from onlygood.detectors.whitening import precision_of  # noqa: E402
from onlygood.graph.neighbours import OutlierFactors, local_outlier_factor, nearest_neighbours  # noqa: E402
from onlygood.graph.pooled import affine, gradient_map, pooled_vector, squared_mahalanobis, unit_vector  # noqa: E402
from onlygood.graph.runtime import open_session, run  # noqa: E402
from onlygood.graph.subgraph import join  # noqa: E402

RNG = np.random.default_rng(8)


def grad_cam(maps: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Selvaraju et al., equations 1 and 2, by autograd."""
    (gradient,) = torch.autograd.grad(score.sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).clamp(min=0)


def session_of(scorer: onnx.ModelProto | None, *, metric: str, d: int, basis: np.ndarray | None) -> Any:
    """The mean, and a head: a scorer of points, or the Mahalanobis distance."""
    mean = RNG.standard_normal(d).astype(np.float32) / d
    is_unit = metric != "euclidean"
    source = "unit_vector" if is_unit else "pooled_vector"
    if scorer is None:
        whitening = np.eye(d, dtype=np.float32) if basis is None else basis
        scoring = [squared_mahalanobis(source, mean, precision_of(whitening))]
    else:
        scoring = [affine(source, mean, basis), scorer]
    pieces = [
        pooled_vector("maps"),
        *([unit_vector()] if is_unit else []),
        *scoring,
        gradient_map("maps", has_basis=scorer is not None and basis is not None, of_unit_vector=is_unit),
    ]
    return mean, open_session(join(*pieces, outputs=["raw_score", "patch_scores"]).SerializeToString())


def points_of(maps: torch.Tensor, mean: np.ndarray, basis: np.ndarray | None, metric: str) -> torch.Tensor:
    vectors = maps.mean(dim=(2, 3))
    if metric != "euclidean":
        vectors = torch.nn.functional.normalize(vectors)
    points = vectors - torch.from_numpy(mean)
    return points if basis is None else points @ torch.from_numpy(basis)


def factor(points: torch.Tensor, templates: torch.Tensor, factors: OutlierFactors, k: int) -> torch.Tensor:
    """Breunig et al., definitions 5 to 7, to be differentiated: the neighbours are held, their distances not."""
    distances, nearest = torch.cdist(points, templates).topk(k, largest=False)
    reaches = torch.maximum(distances, torch.from_numpy(factors.k_distances)[nearest])
    return torch.from_numpy(factors.densities)[nearest].mean(dim=1) * (reaches.mean(dim=1) + 1e-10)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "whitened"])
@pytest.mark.parametrize("head", ["knn", "knn of 3", "lof", "mahalanobis"])
@pytest.mark.parametrize("d", [3, 40])
def test_scores_and_grad_cam_are_those_of_autograd(metric: str, head: str, d: int) -> None:
    maps = np.abs(RNG.standard_normal((4, d, 5, 6))).astype(np.float32)
    basis = RNG.standard_normal((d, d)).astype(np.float32) if metric == "whitened" else None
    templates = 0.2 * RNG.standard_normal((30, d)).astype(np.float32)
    factors = outlier_factors(templates, 5)
    scorers = {
        "knn": nearest_neighbours(templates, 1),
        "knn of 3": nearest_neighbours(templates, 3),
        "lof": local_outlier_factor(templates, factors, 5),
        "mahalanobis": None,
    }
    mean, session = session_of(scorers[head], metric=metric, d=d, basis=basis)
    raw, patches = run(session, ["raw_score", "patch_scores"], {"maps": maps})

    shown = torch.from_numpy(maps).requires_grad_()
    points, rows = points_of(shown, mean, basis, metric), torch.from_numpy(templates)
    score = {
        "knn": lambda: torch.cdist(points, rows).min(dim=1).values,
        "knn of 3": lambda: torch.cdist(points, rows).topk(3, largest=False).values.mean(dim=1),
        "lof": lambda: factor(points, rows, factors, 5),
        "mahalanobis": lambda: points.square().sum(dim=1),
    }[head]()
    np.testing.assert_allclose(raw, score.detach().numpy(), rtol=1e-4)
    expected = grad_cam(shown, score).detach().numpy()
    # Among neighbours that are all nearer than their k-distances, the outlier factor has no gradient.
    assert expected.max() > 0 or head == "lof"
    np.testing.assert_allclose(patches, expected, atol=1e-4 * max(expected.max(), 1e-3))


def test_maps_of_silence_have_a_finite_score_and_an_empty_map() -> None:
    mean, session = session_of(None, metric="cosine", d=3, basis=np.eye(3, dtype=np.float32))
    raw, patches = run(session, ["raw_score", "patch_scores"], {"maps": np.zeros((1, 3, 2, 2), np.float32)})
    assert raw[0] == pytest.approx(np.square(mean).sum(), rel=1e-5)
    assert (patches == 0).all()


SETS = {
    "random": lambda: RNG.standard_normal((60, 8)),
    "many dimensions": lambda: RNG.standard_normal((40, 200)),
    "copies": lambda: np.repeat(RNG.standard_normal((12, 4)), 7, axis=0),
    "copies beside others": lambda: np.concatenate([np.zeros((9, 4)), RNG.standard_normal((30, 4))]),
    "near-copies": lambda: np.repeat(RNG.standard_normal((10, 6)), 4, axis=0) + 1e-3 * RNG.standard_normal((40, 6)),
    "far from the origin": lambda: 100 + RNG.standard_normal((50, 5)),
    "a line": lambda: np.outer(np.arange(30.0) ** 1.5, np.ones(3)),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("k", [1, 5])
def test_scores_are_scikit_learns(name: str, k: int) -> None:
    pytest.importorskip("sklearn")
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

    templates = SETS[name]().astype(np.float32)
    new = np.concatenate([templates[:5], templates[5:15] + 0.1, RNG.standard_normal((20, templates.shape[1]))])
    new = new.astype(np.float32)
    factors = outlier_factors(templates, k)
    session = open_session(join(local_outlier_factor(templates, factors, k), outputs=["raw_score"]).SerializeToString())
    (found,) = run(session, ["raw_score"], {"point": new})
    theirs = LocalOutlierFactor(n_neighbors=k, novelty=True).fit(templates.astype(np.float64))
    np.testing.assert_allclose(found, -theirs.score_samples(new.astype(np.float64)), rtol=1e-4)

    session = open_session(join(nearest_neighbours(templates, k), outputs=["raw_score"]).SerializeToString())
    (found,) = run(session, ["raw_score"], {"point": new})
    distances, _ = NearestNeighbors(n_neighbors=k).fit(templates.astype(np.float64)).kneighbors(new.astype(np.float64))
    np.testing.assert_allclose(found, distances.mean(axis=1), rtol=1e-4, atol=1e-6)
