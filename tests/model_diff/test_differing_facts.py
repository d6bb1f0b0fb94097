"""In what the descriptions of two models differ, in words."""

import onlygood
from onlygood.model_diff.differing_facts import DifferingFact, differing_facts
from textures import textures


def by_field(old: onlygood.Metadata, new: onlygood.Metadata) -> dict[str, DifferingFact]:
    return {fact.field: fact for fact in differing_facts(old, new)}


def test_a_description_does_not_differ_from_itself(model: onlygood.Model) -> None:
    assert differing_facts(model.metadata, model.metadata) == ()


def test_another_threshold_is_all_that_a_recalibrated_model_differs_by(model: onlygood.Model) -> None:
    new = onlygood.calibrate(model, false_alarm_rate=0.3).metadata
    found = by_field(model.metadata, new)
    assert found["settings.false_alarm_rate"] == DifferingFact(
        "settings.false_alarm_rate", "setting false_alarm_rate", "0.1", "0.3"
    )
    threshold = found["calibration.threshold"]
    assert (threshold.old, threshold.new) == tuple(
        f"{each.calibration.threshold:.6g}" for each in (model.metadata, new)
    )
    assert found["guarantee.statement"].new == new.guarantee.sentences[0]
    history = found["recalibrations"]
    assert history.old == "[]"
    assert history.new is not None and history.new.startswith('1, the last: {"from": "calibration scores"')
    digest = found["content_sha256"]
    assert (digest.old, digest.new) == (model.metadata.content_sha256[:12], new.content_sha256[:12])
    assert next(iter(found)) == "guarantee.statement"
    assert set(found) <= {
        *("guarantee.statement", "guarantee.requested_rate", "guarantee.stated_rate", "calibration.threshold"),
        *("settings.false_alarm_rate", "calibration.decided_by", "recalibrations", "content_sha256"),
    }


def test_new_images_change_what_is_said_of_the_calibration(model: onlygood.Model) -> None:
    found = by_field(model.metadata, onlygood.calibrate(model, textures(20, start=500)).metadata)
    assert (found["calibration.method"].old, found["calibration.method"].new) == ("leave-one-out", "split")
    assert (found["guarantee.groups"].label, found["guarantee.groups"].new) == ("independent groups of them", "20")


def test_fields_of_one_model_alone_are_there_and_fields_of_a_newer_onlygood_too(model: onlygood.Model) -> None:
    old = model.metadata
    new = old.replaced(
        good_images=old.good_images.replaced(heights=(90, 110)),
        settings={**old.settings, "window": [0, 4095], "note": None},
    ).model_copy(update={"swaps": [{"added": 50}, {"added": 20}]})
    found = by_field(old, new)
    assert found["good_images.heights"] == DifferingFact("good_images.heights", "their heights", "96", "90 to 110")
    assert found["settings.window"].new == "0 to 4095"
    assert found["swaps"] == DifferingFact("swaps", "swaps", None, '2, the last: {"added": 20}')
    assert "settings.note" not in found


def test_what_models_of_other_methods_have_learned_is_left_out(model: onlygood.Model) -> None:
    old = model.metadata
    other = old.replaced(method="knn", detector={"templates": 7})
    assert [name for name in by_field(old, other) if name.startswith("detector.")] == []
    same = old.replaced(detector={**old.detector, "region_size": 99})
    assert by_field(old, same)["detector.region_size"].new == "99"


def test_long_values_are_cut_in_the_middle(model: onlygood.Model) -> None:
    old = model.metadata
    new = old.replaced(notes=("A sentence that goes on. " * 100,))
    said = by_field(old, new)["notes"].new
    assert said is not None and len(said) <= 480 and "..." in said
