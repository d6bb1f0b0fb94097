"""Heads on pooled features: distances, and Grad-CAM in closed form beside autograd's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onlygood.graph.fragments import join  # noqa: E402
from onlygood.graph.pooled_head import gradient_map, mahalanobis, unit_vector  # noqa: E402
from onlygood.graph.runtime import open_session, run  # noqa: E402

RNG = np.random.default_rng(8)


def grad_cam(maps: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Selvaraju et al., equations 1 and 2, by autograd."""
    (gradient,) = torch.autograd.grad(score.sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).clamp(min=0)


@pytest.mark.parametrize("d", [3, 40])
def test_the_score_is_the_squared_mahalanobis_distance_and_the_map_grad_cams(d: int) -> None:
    maps = np.abs(RNG.standard_normal((4, d, 5, 6))).astype(np.float32)
    mean, whitening = RNG.standard_normal(d).astype(np.float32), RNG.standard_normal((d, d)).astype(np.float32)
    pieces = [unit_vector("maps"), mahalanobis(mean, whitening), gradient_map("maps")]
    session = open_session(join(*pieces, outputs=["raw_score", "patch_scores"]).SerializeToString())
    raw, patches = run(session, ["raw_score", "patch_scores"], {"maps": maps})

    shown = torch.from_numpy(maps).requires_grad_()
    unit = torch.nn.functional.normalize(shown.mean(dim=(2, 3)))
    score = ((unit - torch.from_numpy(mean)) @ torch.from_numpy(whitening)).square().sum(dim=1)
    np.testing.assert_allclose(raw, score.detach().numpy(), rtol=1e-4)
    expected = grad_cam(shown, score).detach().numpy()
    assert expected.max() > 0
    np.testing.assert_allclose(patches, expected, atol=1e-4 * expected.max())


def test_maps_of_silence_have_a_finite_score_and_an_empty_map() -> None:
    pieces = [
        unit_vector("maps"),
        mahalanobis(np.ones(3, np.float32), np.eye(3, dtype=np.float32)),
        gradient_map("maps"),
    ]
    session = open_session(join(*pieces, outputs=["raw_score", "patch_scores"]).SerializeToString())
    raw, patches = run(session, ["raw_score", "patch_scores"], {"maps": np.zeros((1, 3, 2, 2), np.float32)})
    assert raw[0] == pytest.approx(3.0)
    assert (patches == 0).all()
