"""What DOC trains, against sums written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from onlygood.backbones.backbone import load_backbone  # noqa: E402
from onlygood.errors import TrainingError  # noqa: E402
from onlygood.graph.trunk import cut_trunk, split_trunk  # noqa: E402
from onlygood.training.doc import (  # noqa: E402
    MOST_WATCHED,
    PATIENCE,
    DocSettings,
    Maps,
    TrainedFeatures,
    compactness_loss,
    share_in_order,
    train_doc,
    unit_variance,
    watched_groups,
    watched_of_each_class,
)
from onlygood.training.loop import AuxiliaryImages  # noqa: E402

Array = NDArray[Any]

LITE0 = load_backbone("lite0")
PARTS = split_trunk(cut_trunk(LITE0, [LITE0.card.taps[-1]]), 1)
SETTINGS = {
    "compactness_weight": 0.1,
    "at_unit_length": False,
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


def test_at_unit_length_it_is_the_variance_of_directions() -> None:
    # Two of opposite directions have mean 0, and each is at distance 1 from it; n^2 / (n - 1)^2 is 4.
    opposite = torch.tensor([[3.0, 0.0], [-0.5, 0.0]])
    assert float(compactness_loss(opposite, at_unit_length=True)) == pytest.approx(4.0)
    alike = torch.tensor([[3.0, 0.0], [0.5, 0.0]])
    assert float(compactness_loss(alike, at_unit_length=True)) == pytest.approx(0.0)


def test_the_share_in_order_is_counted_pair_by_pair() -> None:
    lower, higher = np.array([1.0, 2.0, 2.0], np.float32), np.array([2.0, 3.0], np.float32)
    # Of six pairs four are in order and two are ties.
    assert share_in_order(lower, higher) == pytest.approx((4 + 0.5 * 2) / 6)


def test_the_variance_is_of_directions() -> None:
    assert unit_variance(torch.tensor([[3.0, 0.0], [-0.5, 0.0]])) == pytest.approx(1.0)
    assert unit_variance(torch.tensor([[3.0, 0.0], [0.5, 0.0]])) == pytest.approx(0.0)


def test_watched_images_are_a_tenth_in_whole_groups() -> None:
    groups = np.repeat(np.arange(10), 5)
    watched, _ = watched_groups(groups, seed=0)
    assert len(watched) == 5
    assert len(set(groups[watched])) == 1


@given(st.lists(st.integers(1, 60), min_size=3, max_size=20), st.integers(0, 3))
@settings(deadline=None, max_examples=80)
def test_of_groups_of_any_size_some_are_watched_and_two_images_are_left(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    watched, others = watched_groups(groups, seed=seed)
    assert sorted([*watched, *others]) == list(range(len(groups)))
    assert not set(groups[watched]) & set(groups[others])
    assert len(watched) >= 1 and len(others) >= 2
    assert len(watched) <= max(min(sizes), min(MOST_WATCHED, max(2, round(0.1 * len(groups)))))


def test_every_class_of_reference_images_is_watched_and_trained_on() -> None:
    classes = np.array([0] * 3 + [1] * 40 + [2] * 4)
    watched, others = watched_of_each_class(classes, seed=1)
    assert np.bincount(classes[watched]).tolist() == [1, 4, 1]
    assert np.bincount(classes[others]).tolist() == [2, 36, 3]


def test_reference_images_come_in_turn_before_any_comes_again() -> None:
    beside = AuxiliaryImages(torch.zeros(9, 1, 1, 1), torch.zeros(9, dtype=torch.int64), np.array([0, 2, 4, 6, 8]))
    order = beside.order(12, seed=1, epoch=0).tolist()
    assert len(order) == 12
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 2, 4, 6, 8]
    assert order == beside.order(12, seed=1, epoch=0).tolist()
    assert order != beside.order(12, seed=1, epoch=1).tolist()


def by_distance(vectors: Array, others: Array) -> Array:
    """Distances to the nearest."""
    return np.array([np.linalg.norm(vectors - each, axis=1).min() for each in others], dtype=np.float32)


def trained(
    count: int = 24, *, judge: Callable[[Array, Array], Array] = by_distance, **settings: Any
) -> TrainedFeatures:
    random = np.random.default_rng(0)
    target = random.normal(0, 6, (count, 320, 2, 2)).astype(np.float32)
    reference = random.normal(0, 6, (24, 320, 2, 2)).astype(np.float32)
    reference[12:, :160] += 4
    return train_doc(
        PARTS.tail.graph,
        PARTS.trained,
        DocSettings(**{**SETTINGS, **settings}),
        Maps(values=target, labels=np.arange(count)),
        Maps(values=reference, labels=np.repeat(np.arange(2), 12)),
        judge,
    )


class Scripted:
    """A judge that finds these AUROCs, one after another: of two targets and two references."""

    def __init__(self, *quarters: int) -> None:
        self.quarters = list(quarters)

    def __call__(self, _vectors: Array, others: Array) -> Array:
        assert len(others) == 4
        # So many of the four pairs in order.
        scores = {0: [2, 3, 0, 1], 1: [1, 2, 0, 1.5], 2: [1, 1, 0, 2], 3: [0, 2, 1, 3], 4: [0, 1, 2, 3]}
        return np.array(scores[self.quarters.pop(0)], dtype=np.float32)


def test_reference_classes_come_to_be_told_apart() -> None:
    found = trained(epochs=8, learning_rate=5e-4, compactness_weight=0.0, judge=Scripted(*[4] * 9))
    losses = found.losses["doc"]
    assert len(losses) == 8
    assert losses[-1] < 0.5 * losses[0] < np.log(2)
    assert found.vectors.shape == (24, 1280)
    assert found.watched == (2, 2)
    assert set(found.learned) == set(PARTS.trained)


@pytest.mark.parametrize("at_unit_length", [False, True])
def test_the_weight_of_compactness_decides_how_close_targets_come(at_unit_length: bool) -> None:
    spreads = []
    for weight in (0.0, 100.0):
        found = trained(
            epochs=12,
            learning_rate=5e-4,
            compactness_weight=weight,
            at_unit_length=at_unit_length,
            judge=Scripted(*[4] * 13),
        ).vectors
        if at_unit_length:
            found = found / np.linalg.norm(found, axis=1, keepdims=True)
        spreads.append(found.var(axis=0).sum())
    assert spreads[1] < 0.8 * spreads[0]


def test_the_last_epoch_that_is_as_good_as_the_best_counts() -> None:
    found = trained(epochs=5, judge=Scripted(2, 3, 4, 4, 2, 3))
    assert found.judged == [0.5, 0.75, 1.0, 1.0, 0.5, 0.75]
    assert found.epoch == 3
    assert len(found.losses["doc"]) == 5
    short = trained(epochs=3, judge=Scripted(2, 3, 4, 4))
    np.testing.assert_array_equal(found.vectors, short.vectors)


def test_training_ends_when_unseen_targets_are_close_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood.training.doc.ENOUGH_VARIANCE", 1e9)
    monkeypatch.setattr("onlygood.training.doc.LEAST_GROUPS", 2)
    found = trained(epochs=5, judge=Scripted(2, 3))
    assert (len(found.losses["doc"]), found.epoch, len(found.variances)) == (1, 1, 2)


def test_training_ends_when_epochs_are_worse_and_may_count_for_nothing() -> None:
    found = trained(epochs=9, judge=Scripted(4, 2, 2, 2))
    assert len(found.losses["doc"]) == PATIENCE
    assert found.epoch == 0
    for tensor in PARTS.tail.graph.initializer:
        if tensor.name in found.learned:
            np.testing.assert_array_equal(found.learned[tensor.name], onnx.numpy_helper.to_array(tensor))


def test_a_batch_of_one_has_no_variance() -> None:
    with pytest.raises(TrainingError, match="every mini-batch must hold at least 2 images"):
        trained(count=5, batch_size=2)
