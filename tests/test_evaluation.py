"""Evaluate: the figures agree with the verdicts, what cannot be had is said, and the model stays as it is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import onlygood
from onlygood.datasets.labelled import find_labelled
from onlygood.errors import LabelledSetError, SettingError
from onlygood.evaluation.rates import RateOutcome, check_guarantee
from onlygood.metrics.image import exact_proportion
from textures import DEFECT, SIZE, Array, save, texture, with_defect

GOOD_NAMES = {f"good/{number}.png": texture(200 + number) for number in range(8)}
BLACK = {f"black/{number}.png": with_defect(texture(300 + number)) for number in range(5)}
# A defect that is nearly as good as good: some of these are missed.
FAINT = {f"faint/{number}.png": with_defect(texture(400 + number), level=128) for number in range(5)}


def marked() -> Array:
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    mask[DEFECT] = 255
    return mask


@pytest.fixture(scope="module")
def test_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MVTec's layout: test/good, test/black, test/faint, and masks."""
    root = tmp_path_factory.mktemp("parts")
    save(root / "test", {**GOOD_NAMES, **BLACK, **FAINT})
    save(root / "ground_truth", {name.replace(".png", "_mask.png"): marked() for name in (*BLACK, *FAINT)})
    return root / "test"


@pytest.fixture(scope="module")
def evaluation(model: onlygood.Model, test_folder: Path) -> onlygood.Evaluation:
    return onlygood.evaluate(model, test_folder)


def test_every_image_is_judged_as_inspect_judges_it(
    model: onlygood.Model, test_folder: Path, evaluation: onlygood.Evaluation
) -> None:
    inspect = onlygood.Inspector(model, threads=1)
    assert len(evaluation.images) == 18
    for judged in evaluation.images:
        inspection = inspect(test_folder / judged.labelled.name)
        assert (judged.score, judged.p_value, judged.is_anomaly) == (
            inspection.score,
            inspection.p_value,
            inspection.is_anomaly,
        )


def test_good_images_that_were_learned_from_are_noted(
    model: onlygood.Model, model_path: Path, good_images: list[Array], test_folder: Path, tmp_path: Path
) -> None:
    save(tmp_path / "test/good", {f"{9 - number}{number}.png": image for number, image in enumerate(good_images)})
    save(tmp_path / "test", BLACK)
    seen = "The good images are the very ones that the model was learned from: on others it will give more false alarms"
    for each in (model, model_path):
        assert [note for note in onlygood.evaluate(each, tmp_path).notes if note.startswith(seen)]
    save(tmp_path / "test/good", {"90.png": texture(999)})
    assert not [note for note in onlygood.evaluate(model, tmp_path).notes if note.startswith(seen)]
    assert not [note for note in onlygood.evaluate(model, test_folder).notes if note.startswith(seen)]


def test_image_figures_are_those_of_the_scores(evaluation: onlygood.Evaluation) -> None:
    scores = [judged.score for judged in evaluation.images]
    labels = [judged.labelled.is_anomalous for judged in evaluation.images]
    image = evaluation.image
    assert (image.good, image.anomalous) == (8, 10)
    assert image.auroc is not None and image.false_alarms is not None and image.misses is not None
    assert image.auroc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert image.auroc.low <= image.auroc.value <= image.auroc.high
    assert image.average_precision == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    assert image.false_alarms.events == sum(s > 0 and not bad for s, bad in zip(scores, labels, strict=True))
    assert image.misses.events == sum(s <= 0 and bad for s, bad in zip(scores, labels, strict=True))
    assert (image.false_alarms.trials, image.misses.trials) == (8, 10)


def test_pixel_figures_are_those_of_the_maps(
    model: onlygood.Model, test_folder: Path, evaluation: onlygood.Evaluation
) -> None:
    inspect = onlygood.Inspector(model, threads=1)
    maps, masks = [], []
    for judged in evaluation.images:
        maps.append(inspect(test_folder / judged.labelled.name).anomaly_map)
        masks.append(marked() > 0 if judged.labelled.is_anomalous else np.zeros((SIZE, SIZE), dtype=bool))
    assert evaluation.pixel is not None
    metrics = evaluation.pixel.metrics
    expected = roc_auc_score(np.ravel(masks), np.ravel(maps))
    assert metrics.pixel_auroc == pytest.approx(expected, abs=1e-6)
    assert (metrics.pixels, metrics.regions) == (18 * SIZE * SIZE, 10)
    assert (evaluation.pixel.images, evaluation.pixel.masks) == (18, 10)


def test_each_defect_stands_against_all_good_images(evaluation: onlygood.Evaluation) -> None:
    assert list(evaluation.per_defect) == ["black", "faint"]
    for name, figures in evaluation.per_defect.items():
        chosen = [each for each in evaluation.images if each.labelled.defect in ("good", name)]
        expected = roc_auc_score([each.labelled.is_anomalous for each in chosen], [each.score for each in chosen])
        assert figures.auroc is not None
        assert figures.auroc.value == pytest.approx(expected, abs=1e-6)
        assert (figures.good, figures.anomalous, figures.false_alarms) == (8, 5, None)
    black, faint = (evaluation.per_defect[name].misses for name in ("black", "faint"))
    assert black is not None and faint is not None and evaluation.image.misses is not None
    assert black.events + faint.events == evaluation.image.misses.events


def test_sessions_are_measured_by_themselves(model: onlygood.Model, test_folder: Path) -> None:
    evaluation = onlygood.evaluate(model, test_folder, group_by=r"(\d)\.png")
    assert set(evaluation.per_session) == {str(number) for number in range(8)}
    assert [evaluation.per_session["0"].good, evaluation.per_session["0"].anomalous] == [1, 2]
    # The sessions 5 to 7 have no defective image.
    last = evaluation.per_session["7"]
    assert last.auroc is None and last.misses is None and last.false_alarms is not None
    assert sum(figures.good for figures in evaluation.per_session.values()) == 8


def test_the_model_stays_as_it_is(model: onlygood.Model, test_folder: Path) -> None:
    before = model.file.content, json.dumps(model.metadata.to_dict())
    onlygood.evaluate(model, test_folder, cost_false_alarm=1, cost_miss=100)
    assert (model.file.content, json.dumps(model.metadata.to_dict())) == before


def test_a_path_a_model_an_inspector_and_a_labelled_set_give_the_same(
    model: onlygood.Model, model_path: Path, test_folder: Path, evaluation: onlygood.Evaluation
) -> None:
    def figures(found: onlygood.Evaluation) -> object:
        return [found.to_dict()[key] for key in ("image", "per_defect", "pixel", "guarantee")]

    assert figures(onlygood.evaluate(model_path, test_folder)) == figures(evaluation)
    inspector = onlygood.Inspector(model, threads=1)
    assert figures(onlygood.evaluate(inspector, find_labelled(test_folder), threads=1)) == figures(evaluation)


def test_an_evaluation_is_plain_json(evaluation: onlygood.Evaluation) -> None:
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert values["image"]["misses"]["trials"] == 10
    assert values["images"][0]["name"] == evaluation.images[0].labelled.name
    assert values["advice"] is None


def test_without_masks_there_are_no_pixel_figures(model: onlygood.Model, tmp_path: Path) -> None:
    evaluation = onlygood.evaluate(model, save(tmp_path, {**GOOD_NAMES, **BLACK}))
    assert evaluation.pixel is None and evaluation.layout == "folders"


def test_only_good_images_give_false_alarms_and_a_note(model: onlygood.Model, tmp_path: Path) -> None:
    evaluation = onlygood.evaluate(model, save(tmp_path, GOOD_NAMES), cost_false_alarm=1, cost_miss=1)
    image = evaluation.image
    assert image.false_alarms is not None
    assert (image.auroc, image.average_precision, image.f1_max, image.misses) == (None, None, None, None)
    assert evaluation.guarantee is not None and evaluation.advice is None
    assert any("no anomalous images: only false alarms can be measured" in note for note in evaluation.notes)


def test_only_bad_images_give_misses_and_a_note(model: onlygood.Model, tmp_path: Path) -> None:
    evaluation = onlygood.evaluate(model, save(tmp_path, BLACK))
    assert evaluation.image.misses is not None and evaluation.image.false_alarms is None
    assert evaluation.guarantee is None
    assert any("no good images: only misses can be measured" in note for note in evaluation.notes)


def test_an_image_that_cannot_be_read_is_named_and_left_out(model: onlygood.Model, tmp_path: Path) -> None:
    save(tmp_path, {**GOOD_NAMES, **BLACK})
    (tmp_path / "good" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    save(tmp_path, {"black/colour.png": np.zeros((SIZE, SIZE, 3), np.uint8) + np.array([9, 99, 200], np.uint8)})
    evaluation = onlygood.evaluate(model, tmp_path)
    assert [name for name, _ in evaluation.unreadable] == ["black/colour.png", "good/torn.png"]
    assert (evaluation.image.good, evaluation.image.anomalous) == (8, 5)


def test_where_nothing_can_be_read_the_first_reason_is_given(model: onlygood.Model, tmp_path: Path) -> None:
    save(tmp_path, {"good/a.png": texture(1)})
    (tmp_path / "good" / "a.png").write_bytes(b"")
    with pytest.raises(LabelledSetError, match=r"none of 1 is; the first: good/a.png"):
        onlygood.evaluate(model, tmp_path)


def test_a_mask_that_cannot_be_used_leaves_its_image_out_of_the_pixels_alone(
    model: onlygood.Model, tmp_path: Path
) -> None:
    save(tmp_path / "test", {**GOOD_NAMES, **BLACK})
    masks = {name.replace(".png", "_mask.png"): marked() for name in BLACK}
    masks["black/1_mask.png"] = np.zeros((SIZE, SIZE), np.uint8)
    masks["black/3_mask.png"] = np.full((SIZE, SIZE + 1), 255, np.uint8)
    save(tmp_path / "ground_truth", masks)
    evaluation = onlygood.evaluate(model, tmp_path / "test")
    assert evaluation.pixel is not None
    assert (evaluation.pixel.masks, evaluation.pixel.images, evaluation.pixel.metrics.regions) == (3, 11, 3)
    assert evaluation.image.anomalous == 5
    (note,) = evaluation.notes
    assert note.startswith("2 masks cannot be used; their images are left out of the pixel metrics; the first: a mask")


def test_where_no_mask_can_be_used_there_are_no_pixel_figures(model: onlygood.Model, tmp_path: Path) -> None:
    save(tmp_path / "test", {**GOOD_NAMES, "black/0.png": BLACK["black/0.png"]})
    save(tmp_path / "ground_truth", {"black/0_mask.png": np.zeros((SIZE, SIZE), np.uint8)})
    evaluation = onlygood.evaluate(model, tmp_path / "test")
    assert evaluation.pixel is None
    assert evaluation.notes[0].startswith("1 mask cannot be used; its image is left out")


@pytest.mark.parametrize(
    ("events", "trials", "verdict"),
    [(0, 10, "consistent"), (0, 1000, "confirmed"), (200, 1000, "contradicted"), (100, 1000, "consistent")],
)
def test_the_guarantee_is_compared_by_the_interval(
    model: onlygood.Model, events: int, trials: int, verdict: str
) -> None:
    assert model.guarantee.stated_rate == 0.1
    check = check_guarantee(model.metadata, exact_proportion(events, trials))
    assert check.verdict == verdict
    assert f"{events} of {trials} good images" in check.sentence
    assert ("CONTRADICTED" in check.sentence) == (verdict == "contradicted")


def test_good_images_of_another_kind_contradict_the_guarantee(model: onlygood.Model, tmp_path: Path) -> None:
    """As many false alarms as images: this is what a new lamp looks like."""
    dark = {f"good/{number}.png": (texture(500 + number) // 4).astype(np.uint8) for number in range(20)}
    evaluation = onlygood.evaluate(model, save(tmp_path, dark))
    assert evaluation.guarantee is not None
    assert evaluation.guarantee.verdict == "contradicted"
    assert "20 of 20 good images" in evaluation.guarantee.sentence and "fit again" in evaluation.guarantee.sentence


def test_costs_give_the_cheapest_threshold_and_what_it_costs(model: onlygood.Model, test_folder: Path) -> None:
    evaluation = onlygood.evaluate(model, test_folder, cost_false_alarm=1, cost_miss=50, anomaly_share=0.01)
    advice = evaluation.advice
    assert advice is not None and evaluation.image.misses is not None and evaluation.image.false_alarms is not None
    expected = 1000 * (0.99 * evaluation.image.false_alarms.value + 0.01 * 50 * evaluation.image.misses.value)
    assert advice.current.cost_per_thousand == pytest.approx(expected)
    scores = np.array([judged.score for judged in evaluation.images])
    labels = np.array([judged.labelled.is_anomalous for judged in evaluation.images])
    costs = [
        1000 * (0.99 * (scores[~labels] > level).mean() + 0.01 * 50 * (scores[labels] <= level).mean())
        for level in [-np.inf, *scores]
    ]
    assert advice.cheapest.cost_per_thousand == pytest.approx(min(costs))
    assert not advice.is_share_of_test
    by_test = onlygood.evaluate(model, test_folder, cost_false_alarm=1, cost_miss=50).advice
    assert by_test is not None and by_test.is_share_of_test and by_test.anomaly_share == pytest.approx(10 / 18)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ({"cost_miss": 1}, "cost_miss goes with cost_false_alarm, got none"),
        ({"cost_false_alarm": 1}, "cost_false_alarm goes with cost_miss, got none"),
        ({"anomaly_share": 0.1}, "anomaly_share goes with cost_false_alarm and cost_miss"),
        ({"cost_false_alarm": -1, "cost_miss": 1}, "cost_false_alarm must be a number of at least 0, got -1"),
        ({"cost_false_alarm": 1, "cost_miss": float("nan")}, "cost_miss must be a number of at least 0, got nan"),
        ({"cost_false_alarm": 1, "cost_miss": 1, "anomaly_share": 1.0}, "anomaly_share must be between 0 and 1"),
    ],
)
def test_costs_that_cannot_be_used_are_refused(
    model: onlygood.Model, test_folder: Path, costs: dict[str, float], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        onlygood.evaluate(model, test_folder, **costs)


def test_group_by_goes_with_a_path_alone(model: onlygood.Model, test_folder: Path) -> None:
    with pytest.raises(SettingError, match="labelled already"):
        onlygood.evaluate(model, find_labelled(test_folder), group_by="folder")


def test_pages_of_a_file_are_judged_one_by_one(model: onlygood.Model, tmp_path: Path) -> None:
    pages = [Image.fromarray(texture(600 + number)) for number in range(3)]
    (tmp_path / "good").mkdir()
    pages[0].save(tmp_path / "good" / "stack.tif", save_all=True, append_images=pages[1:])
    evaluation = onlygood.evaluate(model, tmp_path)
    assert [judged.labelled.name for judged in evaluation.images] == [f"good/stack.tif#{page}" for page in (1, 2, 3)]
    assert len({judged.score for judged in evaluation.images}) == 3


def test_where_masks_mark_every_pixel_there_are_no_pixel_figures(model: onlygood.Model, tmp_path: Path) -> None:
    save(tmp_path / "test", {"black/0.png": BLACK["black/0.png"]})
    save(tmp_path / "ground_truth", {"black/0_mask.png": np.full((SIZE, SIZE), 255, np.uint8)})
    evaluation = onlygood.evaluate(model, tmp_path / "test")
    assert evaluation.pixel is None and evaluation.image.misses is not None
    assert any(note.startswith("There are no pixel metrics: ") for note in evaluation.notes)


# Other false-alarm rates


def test_each_rate_has_the_outcome_of_an_inspector_at_it(
    model: onlygood.Model, test_folder: Path, evaluation: onlygood.Evaluation
) -> None:
    assert [outcome.requested_rate for outcome in evaluation.at_rates] == [0.01, 0.05, 0.1]
    for outcome in evaluation.at_rates:
        inspector = onlygood.Inspector(model, threads=1, false_alarm_rate=outcome.requested_rate)
        at_rate = onlygood.evaluate(inspector, test_folder)
        assert (outcome.false_alarms, outcome.misses) == (at_rate.image.false_alarms, at_rate.image.misses)
        assert outcome.guaranteed_rate == inspector.metadata.guarantee.stated_rate
        moved = inspector.metadata.calibration.threshold - model.calibration.threshold
        assert outcome.threshold == pytest.approx(moved, abs=1e-5)


def test_the_models_own_rate_is_among_them_once_at_threshold_0(
    model: onlygood.Model, test_folder: Path, evaluation: onlygood.Evaluation
) -> None:
    (own,) = [outcome for outcome in evaluation.at_rates if outcome.is_own]
    assert (own.requested_rate, own.guaranteed_rate, own.threshold) == (0.1, 0.1, 0.0)
    assert (own.false_alarms, own.misses) == (evaluation.image.false_alarms, evaluation.image.misses)
    at_another = onlygood.evaluate(onlygood.Inspector(model, threads=1, false_alarm_rate=0.4), test_folder)
    assert [(each.requested_rate, each.is_own) for each in at_another.at_rates] == [
        (0.01, False),
        (0.05, False),
        (0.1, False),
        (0.4, True),
    ]
    # The same thresholds, seen from another one.
    for one, other in zip(evaluation.at_rates, at_another.at_rates, strict=False):
        assert (one.misses, one.false_alarms) == (other.misses, other.false_alarms)
        assert other.threshold > one.threshold


def test_a_rate_that_the_calibration_scores_cannot_guarantee_says_which_they_can(
    evaluation: onlygood.Evaluation,
) -> None:
    guaranteed = {outcome.requested_rate: outcome.guaranteed_rate for outcome in evaluation.at_rates}
    assert guaranteed == {0.01: 1 / 17, 0.05: 1 / 17, 0.1: 0.1}
    assert [outcome.is_guaranteed for outcome in evaluation.at_rates] == [False, False, True]


def test_outcomes_are_plain_json(evaluation: onlygood.Evaluation) -> None:
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    own = values["at_rates"][-1]
    assert (own["requested_rate"], own["guaranteed_rate"], own["threshold"], own["is_own"]) == (0.1, 0.1, 0.0, True)
    assert own["misses"] == values["image"]["misses"]
    assert values["miss_sentence"] == evaluation.miss_sentence


def test_without_calibration_scores_there_is_the_models_own_rate_alone(
    model: onlygood.Model, test_folder: Path
) -> None:
    bare = replace(model, file=replace(model.file, calibration_scores=None))
    (own,) = onlygood.evaluate(bare, test_folder).at_rates
    assert own.is_own and own.misses is not None


def test_with_images_of_one_kind_the_other_share_is_none(model: onlygood.Model, tmp_path: Path) -> None:
    good = onlygood.evaluate(model, save(tmp_path / "a", GOOD_NAMES))
    bad = onlygood.evaluate(model, save(tmp_path / "b", BLACK))
    assert all(each.misses is None and each.false_alarms is not None for each in good.at_rates)
    assert all(each.misses is not None and each.false_alarms is None for each in bad.at_rates)
    assert good.miss_sentence is None and bad.miss_sentence is None


def outcome(
    rate: float, misses: int, alarms: int, *, guaranteed: float | None = None, own: bool = False
) -> RateOutcome:
    return RateOutcome(
        requested_rate=rate,
        guaranteed_rate=rate if guaranteed is None else guaranteed,
        threshold=0.0,
        is_own=own,
        false_alarms=exact_proportion(alarms, 150),
        misses=exact_proportion(misses, 150),
    )


@pytest.mark.parametrize(
    ("outcomes", "is_exact", "said"),
    [
        (
            [outcome(0.01, 120, 0, own=True), outcome(0.05, 12, 3), outcome(0.1, 12, 9)],
            True,
            "At the model's threshold 120 of 150 anomalous images are missed. At a rate of 0.05 (guaranteed from these "
            "calibration scores) 12 of 150 would be missed instead of 120, with 3 of 150 good images called anomalous.",
        ),
        (
            [outcome(0.01, 120, 0, own=True), outcome(0.05, 12, 3), outcome(0.1, 4, 9)],
            False,
            "At the model's threshold 120 of 150 anomalous images are missed. At a rate of 0.05 (guaranteed "
            "approximately from these calibration scores) 12 of 150 would be missed instead of 120, with 3 of 150 good "
            "images called anomalous; at 0.1 it would be 4, with 9.",
        ),
        (
            [outcome(0.001, 120, 0, own=True), outcome(0.01, 99, 1, guaranteed=0.0244), outcome(0.05, 12, 3)],
            True,
            "At the model's threshold 120 of 150 anomalous images are missed. At a rate of 0.01 (0.0244 is guaranteed "
            "from these calibration scores) 99 of 150 would be missed instead of 120, with 1 of 150 good images called "
            "anomalous; at 0.05 (guaranteed from these calibration scores) it would be 12, with 3.",
        ),
        ([outcome(0.01, 120, 0), outcome(0.05, 12, 3), outcome(0.1, 4, 9, own=True)], True, None),
        ([outcome(0.01, 0, 0, own=True), outcome(0.05, 0, 3), outcome(0.1, 0, 9)], True, None),
        ([outcome(0.01, 7, 0, own=True), outcome(0.05, 7, 3), outcome(0.1, 7, 9)], True, None),
    ],
)
def test_a_sentence_says_what_another_rate_would_give_where_fewer_are_missed(
    evaluation: onlygood.Evaluation, outcomes: list[RateOutcome], is_exact: bool, said: str | None
) -> None:
    metadata = evaluation.metadata.replaced(guarantee=evaluation.metadata.guarantee.replaced(is_exact=is_exact))
    assert replace(evaluation, at_rates=tuple(outcomes), metadata=metadata).miss_sentence == said


def test_the_file_stays_as_it_is_at_another_rate(model_path: Path, test_folder: Path) -> None:
    content = model_path.read_bytes()
    evaluation = onlygood.evaluate(onlygood.Inspector(model_path, threads=1, false_alarm_rate=0.5), test_folder)
    assert evaluation.guarantee is not None and evaluation.guarantee.stated_rate == 0.5
    assert model_path.read_bytes() == content
