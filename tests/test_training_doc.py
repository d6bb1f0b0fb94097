"""What DOC trains, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onlygood.backbone import load_backbone  # noqa: E402
from onlygood.errors import TrainingError  # noqa: E402
from onlygood.graph.trunk import cut_trunk, split_trunk  # noqa: E402
from onlygood.training.doc import (  # noqa: E402
    DocSettings,
    TrainedFeatures,
    compactness_loss,
    train_doc,
    unit_variance,
)
from onlygood.training.loop import Beside  # noqa: E402

LITE0 = load_backbone("lite0")
PARTS = split_trunk(cut_trunk(LITE0, [LITE0.card.taps[-1]]), 1)
SETTINGS = {
    "compactness_weight": 0.1,
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-4,
    "weight_decay": 5e-5,
    "seed": 0,
    "accelerator": "cpu",
}


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_compactness_loss_is_the_papers_sum_over_means_of_the_others(count: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, 5))
    total = 0.0
    for place in range(count):
        difference = vectors[place] - np.delete(vectors, place, axis=0).mean(axis=0)
        total += difference @ difference
    found = compactness_loss(torch.from_numpy(vectors))
    assert float(found) == pytest.approx(total / (count * 5))


def test_the_variance_is_of_directions() -> None:
    # Two of opposite directions have mean 0, and each is at distance 1 from it.
    assert unit_variance(torch.tensor([[3.0, 0.0], [-0.5, 0.0]])) == pytest.approx(1.0)
    assert unit_variance(torch.tensor([[3.0, 0.0], [0.5, 0.0]])) == pytest.approx(0.0)


def test_reference_pictures_come_in_turn_before_any_comes_again() -> None:
    beside = Beside(torch.zeros(5, 1, 1, 1), torch.zeros(5, dtype=torch.int64))
    order = beside.order(12, seed=1, epoch=0).tolist()
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4]
    assert order == beside.order(12, seed=1, epoch=0).tolist()
    assert order != beside.order(12, seed=1, epoch=1).tolist()


def trained(count: int = 24, **settings: object) -> TrainedFeatures:
    random = np.random.default_rng(0)
    target = random.normal(0, 6, (count, 320, 2, 2)).astype(np.float32)
    reference = random.normal(0, 6, (12, 320, 2, 2)).astype(np.float32)
    reference[6:, :160] += 4
    classes = np.repeat(np.arange(2), 6)
    return train_doc(
        PARTS.tail.graph,
        PARTS.trained,
        DocSettings(**{**SETTINGS, **settings}),
        target,
        reference,
        classes,  # type: ignore[arg-type]
    )


def test_it_draws_targets_together_while_it_tells_reference_classes_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood.training.doc.ENOUGH_VARIANCE", 0.0)
    found = trained(epochs=12, learning_rate=5e-4, compactness_weight=10.0)
    losses = found.losses["doc"]
    assert losses[-1] < 0.5 * losses[0]
    before, after = found.variances
    assert after < before
    assert found.vectors.shape == (24, 1280)
    assert found.watched == 2
    assert set(found.learned) == set(PARTS.trained)


def test_the_weight_of_compactness_decides_how_close_targets_come() -> None:
    free, drawn = (trained(epochs=12, learning_rate=5e-4, compactness_weight=weight) for weight in (0.0, 100.0))
    spread = [found.vectors.var(axis=0).sum() for found in (free, drawn)]
    assert spread[1] < 0.7 * spread[0]


def test_training_ends_when_unseen_targets_are_close_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood.training.doc.ENOUGH_VARIANCE", 1e9)
    assert len(trained(epochs=5).losses["doc"]) == 1
    monkeypatch.setattr("onlygood.training.doc.ENOUGH_VARIANCE", 0.0)
    assert len(trained(epochs=5).losses["doc"]) == 5


def test_a_batch_of_one_has_no_variance() -> None:
    with pytest.raises(TrainingError, match="every mini-batch must hold at least 2 pictures"):
        trained(count=5, batch_size=2)
