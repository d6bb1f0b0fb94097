"""Update: further good images without the old ones, and images that are taken out again."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

import onlygood
from flat import fit
from onlygood.errors import FolderError, ImageError, ModelFileError, ModelFormatError, SettingError
from onlygood.features.extraction import pixel_digest, set_digest
from onlygood.graph.kept_arrays import KEPT_KEY, pack_arrays, unpack_arrays
from onlygood.graph.model_file import read_model_file, unpack
from onlygood.kept_images import read_kept
from textures import FAST, Array, as_colour, numbered, save, texture, textures, twelve_bit, with_defect

FIRST, NEW = textures(24), textures(12, start=500)
WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TESTED = [
    *textures(30, start=2000),
    *(with_defect(image, level) for level in (0, 255) for image in textures(15, start=3000)),
]


def scores(model: Any, images: Sequence[Array] = TESTED) -> Array:
    inspect = onlygood.Inspector(model)
    return np.array([inspect(image).score for image in images])


def raw(model: Any, images: Sequence[Array] = TESTED) -> Array:
    return np.asarray(scores(model, images) + model.calibration.threshold)


@pytest.fixture(scope="module")
def model() -> onlygood.Model:
    return fit(FIRST, **FAST)


@pytest.fixture(scope="module")
def updated(model: onlygood.Model) -> onlygood.CalibratedModel:
    return onlygood.update(model, NEW, name="lot 2", at=WHEN)


def refusal(kind: type[Exception], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(kind) as caught:
        onlygood.update(*arguments, **keywords)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# What it gives


def test_an_updated_model_says_what_one_fitted_to_all_images_says(
    updated: onlygood.CalibratedModel, model: onlygood.Model
) -> None:
    whole = fit([*FIRST, *NEW], **FAST)
    ours, theirs = raw(updated), raw(whole)
    spread = float(np.std(theirs))
    # Of the same images with other rows in the banks.
    assert np.abs(ours - theirs).max() < 0.1 * spread
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999
    ours, theirs = updated.calibration.scores, whole.calibration.scores
    assert len(ours) == len(theirs) == 36
    assert abs(updated.calibration.threshold - whole.calibration.threshold) < 0.1 * spread
    assert np.median(np.abs(ours - theirs)) < 0.02 * spread
    # It did not simply stay what it was.
    assert np.abs(raw(updated) - raw(whole)).mean() < np.abs(raw(model) - raw(whole)).mean()


def test_ten_small_updates_are_as_good_as_one_fit() -> None:
    images = textures(60)
    model: Any = fit(images[:10], **FAST)
    for number in range(10):
        model = onlygood.update(model, images[10 + 5 * number : 15 + 5 * number], accept_anomalous=True)
    whole = fit(images, **FAST)
    assert [each.images for each in model.metadata.updates] == list(range(15, 61, 5))
    assert model.metadata.good_images == whole.metadata.good_images
    ours, theirs = raw(model), raw(whole)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.995
    good = slice(0, 30)
    alarms = [float((scores(each)[good] > 0).mean()) for each in (model, whole)]
    # 30 good images at a rate of 0.1: 3 expected, and more than 8 by a chance of one in 500.
    assert max(alarms) <= 8 / 30
    assert (scores(model)[30:] > 0).all()
    assert len(model.file.content) < 1.2 * len(whole.file.content)


def test_what_is_added_and_taken_out_again_leaves_the_scores_as_they_were(
    model: onlygood.Model, updated: onlygood.CalibratedModel
) -> None:
    back = onlygood.update(updated, remove="update:lot 2")
    assert back.metadata.good_images == model.metadata.good_images
    spread = float(np.std(raw(model)))
    assert np.abs(raw(back) - raw(model)).max() < 0.05 * spread
    assert abs(back.calibration.threshold - model.calibration.threshold) < 0.05 * spread
    assert len(back.calibration.scores) == 24
    np.testing.assert_allclose(back.calibration.scores, model.calibration.scores, atol=0.1 * spread, rtol=0)


def test_bad_images_that_got_in_are_forgotten_when_they_are_taken_out(model: onlygood.Model) -> None:
    bad = [with_defect(texture(700 + number)) for number in range(6)]
    spoiled = onlygood.update(model, bad, name="bad", accept_anomalous=True)
    defects = [with_defect(texture(800 + number)) for number in range(8)]
    assert (scores(model, defects) > 0).all()
    assert not (scores(spoiled, defects) > 0).any()
    healed = onlygood.update(spoiled, remove="update:bad")
    assert (scores(healed, defects) > 0).all()


def test_an_update_that_changes_nothing_changes_no_score(model: onlygood.Model) -> None:
    one = onlygood.update(model, [NEW[0]])
    again = onlygood.update(onlygood.update(one, remove=["update:1"]), [NEW[0]])
    np.testing.assert_allclose(raw(one), raw(again), rtol=1e-4, atol=1e-4 * float(np.std(raw(one))))


def test_the_same_update_gives_the_same_bytes_on_any_number_of_threads(
    model: onlygood.Model, updated: onlygood.CalibratedModel
) -> None:
    for threads in (1, 3):
        again = onlygood.update(model, NEW, name="lot 2", at=WHEN, threads=threads)
        assert again.file.content == updated.file.content


def test_images_of_several_sizes_and_grey_ones_join_a_model_in_colour() -> None:
    colour = [np.dstack([image, image[::-1], image]) for image in FIRST[:12]]
    model = fit(colour, **FAST)
    mixed = [NEW[0], as_colour(NEW[1]), np.dstack([texture(3, (120, 96))] * 3)]
    updated = onlygood.update(model, mixed, accept_anomalous=True)
    assert updated.metadata.good_images.heights == (96, 120)
    assert updated.metadata.input == model.metadata.input


def test_sixteen_bit_images_keep_their_window() -> None:
    model = fit([twelve_bit(seed) for seed in range(12)], **FAST)
    updated = onlygood.update(model, [twelve_bit(seed) for seed in range(100, 106)])
    assert updated.metadata.input == model.metadata.input
    assert updated.metadata.good_images.count == 18


# What it says


def test_the_history_says_when_how_many_and_what_was_before(
    model: onlygood.Model, updated: onlygood.CalibratedModel
) -> None:
    again = onlygood.update(updated, textures(3, start=900), remove=["image 12", "image 15"], at=WHEN)
    first, second = again.metadata.updates
    assert updated.metadata.updates == (first,)
    assert (first.number, first.name, first.at) == (1, "lot 2", "2026-03-04T05:06:07+00:00")
    assert (first.added, first.removed, first.images) == (12, 0, 36)
    assert first.added_sha256 == set_digest([pixel_digest(image[:, :, None]) for image in NEW])
    assert (first.threshold_before, first.model_sha256) == (
        model.calibration.threshold,
        model.metadata.content_sha256,
    )
    assert (second.added, second.removed, second.images) == (3, 2, 37)
    assert second.removed_sha256 == set_digest([pixel_digest(FIRST[each][:, :, None]) for each in (12, 15)])
    assert (second.threshold_before, second.model_sha256) == (
        updated.calibration.threshold,
        updated.metadata.content_sha256,
    )
    assert again.metadata.good_images.count == again.guarantee.calibration_images == 37


def test_the_guarantee_counts_what_it_rests_on(updated: onlygood.CalibratedModel) -> None:
    guarantee = updated.guarantee
    assert (guarantee.calibration_images, guarantee.fitted_images, guarantee.rescored) == (36, 36, 24)
    assert not guarantee.is_exact
    assert (
        "leave-one-out over 36 good images, 24 of them by the patches that the file keeps of them"
        in (guarantee.sentences[0])
    )


def test_what_the_model_before_says_is_noted(updated: onlygood.CalibratedModel) -> None:
    assert "of 10 further images anomalous." in updated.notes[0]


def test_a_saved_model_is_updated_as_one_in_memory(model: onlygood.Model, updated: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "part.onnx")
    folder = save(tmp_path / "new", numbered(NEW))
    from_files = onlygood.update(tmp_path / "part.onnx", folder, name="lot 2", at=WHEN)
    np.testing.assert_array_equal(from_files.calibration.scores, updated.calibration.scores)
    from_files.save(tmp_path / "new.onnx")
    assert onlygood.Inspector(tmp_path / "new.onnx").metadata == from_files.metadata
    again = onlygood.update(tmp_path / "new.onnx", remove=folder / "03.png", at=WHEN)
    assert again.metadata.good_images.count == 35


# Calibration


def test_with_images_held_out_the_same_share_of_further_ones_is_held_out() -> None:
    settings = {**FAST, "calibration": "split", "calibration_fraction": 0.25}
    model = fit(FIRST, **settings)
    assert (model.guarantee.fitted_images, model.guarantee.calibration_images) == (18, 6)
    updated = onlygood.update(model, NEW, accept_anomalous=True)
    assert (updated.guarantee.fitted_images, updated.guarantee.calibration_images) == (27, 9)
    assert not updated.guarantee.is_exact and updated.guarantee.is_split and updated.guarantee.rescored == 6
    assert (
        "approximate, by split conformal calibration on 9 good images held out, 6 of them by"
        in (updated.guarantee.sentences[0])
    )


def test_vectors_of_whole_images_keep_a_guarantee_exact() -> None:
    settings = {**FAST, "calibration": "split", "calibration_fraction": 0.25, "taps": ("stage4",)}
    settings.pop("bank_size")
    model = fit(FIRST, method="knn", **settings)
    updated = onlygood.update(model, NEW, accept_anomalous=True)
    assert updated.guarantee.is_exact and updated.guarantee.rescored == 0
    assert "exact, by split conformal calibration on 9 good images" in updated.guarantee.sentences[0]


def test_another_rate_stays_and_can_be_asked_for_afterwards(model: onlygood.Model) -> None:
    other = onlygood.calibrate(model, false_alarm_rate=0.25)
    updated = onlygood.update(other, NEW)
    assert updated.guarantee.requested_rate == 0.25
    assert len(updated.metadata.recalibrations) == 1
    lower = onlygood.calibrate(updated, false_alarm_rate=0.1)
    assert lower.calibration.threshold > updated.calibration.threshold
    assert onlygood.update(lower, remove="update:1").guarantee.requested_rate == 0.1


def test_sessions_stay_together_over_updates() -> None:
    model = fit(FIRST, groups=[f"lot {number // 3}" for number in range(24)], **FAST)
    assert model.guarantee.groups == 8
    same = onlygood.update(model, NEW[:4], groups=["lot 0", "lot 0", "lot 9", "lot 9"])
    assert (same.guarantee.groups, same.guarantee.calibration_images) == (9, 28)
    alone = onlygood.update(model, NEW[:4])
    assert alone.guarantee.groups == 12


def test_near_duplicates_of_old_images_join_their_groups(model: onlygood.Model) -> None:
    generator = np.random.default_rng(0)
    shots = [np.clip(image + generator.normal(0, 1.5, image.shape), 0, 255).astype(np.uint8) for image in FIRST[:3]]
    updated = onlygood.update(model, [*shots, *NEW[:3]])
    assert updated.guarantee.groups == model.guarantee.groups + 3
    assert any("near-duplicates" in note for note in updated.metadata.notes)


# What is refused


def test_images_that_are_there_already_are_left_out_or_nothing_is_done(model: onlygood.Model) -> None:
    some = onlygood.update(model, [FIRST[3], *NEW[:2]])
    assert some.metadata.good_images.count == 26
    assert any("1 image is left out, as the model has learned from it already" in note for note in some.notes)
    message = refusal(FolderError, model, FIRST[:4])
    assert message == (
        "update needs good images that the model has not learned from, got 4 that it knows already: nothing is to be "
        "done"
    )


def test_most_anomalous_images_are_another_part_unless_someone_says_otherwise(model: onlygood.Model) -> None:
    others = [with_defect(texture(600 + number)) for number in range(5)]
    message = refusal(FolderError, model, others)
    assert "got 5 of 5 further images that it calls anomalous" in message
    assert message.endswith("and if they are good add --accept-anomalous")
    assert onlygood.update(model, others, accept_anomalous=True).metadata.good_images.count == 29


REMOVED: dict[str, tuple[Any, type[Exception], str]] = {
    "an unknown name": (
        "image 77",
        SettingError,
        "got 'image 77', which it has never learned from: did you mean 'image 7'?",
    ),
    "an unknown update": ("update:3", SettingError, "got update:3: it has update:0, update:1, update:lot 2"),
    "a stranger": (texture(12345), FolderError, "got 1 image of 1 whose pixels are not among those"),
    "nothing": ([], SettingError, "remove must name at least one image, got none"),
}


@pytest.mark.parametrize("case", REMOVED)
def test_what_never_was_there_cannot_be_taken_out(case: str, updated: onlygood.CalibratedModel) -> None:
    removed, kind, said = REMOVED[case]
    assert said in refusal(kind, updated, remove=removed)


def test_a_list_of_names_and_updates_takes_them_out(updated: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("image 20\n\nimage 21\n")
    # Each of the other names is one of the fit's and one of the update's.
    fewer = onlygood.update(updated, remove=path)
    assert fewer.metadata.updates[-1].removed == 2
    path.write_text("update:1\nimage 3\n")
    assert (
        onlygood.update(onlygood.update(updated, remove=["update:lot 2"]), remove="image 3").metadata.updates[-1].images
        == 23
    )
    assert "remove must name one image by each name, got 'image 3', which 2 have (of update:0, update:1)" in refusal(
        SettingError, updated, remove=path
    )
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refusal(SettingError, updated, remove=path)


def test_what_was_taken_out_can_be_added_again_and_not_taken_out_twice(updated: onlygood.CalibratedModel) -> None:
    without = onlygood.update(updated, remove="update:1")
    assert "of which none are left" in refusal(SettingError, without, remove="update:1")
    assert onlygood.update(without, NEW).metadata.good_images.count == 36


def test_too_few_must_not_be_left(model: onlygood.Model) -> None:
    names = [f"image {number}" for number in range(22)]
    assert refusal(FolderError, model, remove=names).startswith("an update must leave at least 3 good images, got 2")
    assert refusal(FolderError, model, remove="update:0").startswith(
        "an update must leave at least 3 good images, got 0"
    )
    alike = fit(FIRST[:6], groups=["a", "a", "b", "b", "c", "d"], **FAST)
    assert "of at least 3 independent things, got 4 images in 2 groups" in refusal(
        FolderError, alike, remove=["image 4", "image 5"]
    )


def test_the_fits_images_can_be_taken_out_when_others_are_there(updated: onlygood.CalibratedModel) -> None:
    rest = onlygood.update(updated, remove="update:0")
    assert rest.metadata.good_images.count == rest.guarantee.calibration_images == 12
    alone = fit(NEW, **FAST)
    assert np.corrcoef(raw(rest), raw(alone))[0, 1] > 0.99


OTHERS: dict[str, tuple[Callable[[], Array], str]] = {
    "another depth": (lambda: twelve_bit(3), "must have 8 bits a channel"),
    "colour for a grey model": (lambda: np.dstack([texture(1), texture(2), texture(3)]), "colour"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_images_that_the_model_does_not_take_are_refused(case: str, model: onlygood.Model) -> None:
    make, said = OTHERS[case]
    message = refusal(FolderError, model, [NEW[0], make()])
    assert (
        message.startswith("further good images must be readable, got 1 of 2 that cannot be read")
        and "image 1" in message
    )
    left_out = onlygood.update(model, [NEW[0], make()], skip_unreadable=True)
    assert left_out.metadata.good_images.count == 25
    assert said or message


def test_nothing_to_do_and_names_that_mislead_are_refused(updated: onlygood.CalibratedModel) -> None:
    assert refusal(SettingError, updated).startswith("update needs images to add or to remove, got neither")
    assert "group_by and groups go with images to add" in refusal(
        SettingError, updated, remove="update:1", groups=["a"]
    )
    for name in ("", "lot 2", "3", "a\nb", "x" * 101):
        assert "the name of an update must be" in refusal(SettingError, updated, NEW[:1], name=name)


@pytest.mark.parametrize(
    "settings", [{"golden": True, "augment": 20}, {"augment": 40}, {"rotations": 2}, {"sizes": [64]}], ids=str
)
def test_models_that_learned_from_other_images_than_those_given_are_refused(settings: dict[str, Any]) -> None:
    fitted = fit(FIRST[:1] if "golden" in settings else FIRST[:8], **{**FAST, **settings})
    assert fitted.metadata.kept is None
    message = refusal(ModelFileError, fitted, NEW)
    assert (
        f"got one that was fitted with {next(iter(settings))}: fit it again with the old and the new images" in message
    )


def test_a_model_calibrated_with_new_images_is_refused(model: onlygood.Model) -> None:
    calibrated = onlygood.calibrate(model, textures(20, start=4000))
    assert calibrated.metadata.kept is None and calibrated.file.kept is None
    assert "update the model that it was made from, and calibrate again" in refusal(ModelFileError, calibrated, NEW)


def test_an_old_file_that_keeps_nothing_is_refused() -> None:
    path = Path(__file__).parent / "models" / "format-2-patch.onnx"
    message = refusal(ModelFileError, path, NEW)
    assert "got a file that keeps nothing, as one does that an older onlygood wrote" in message


def test_a_backbone_that_is_not_there_is_named(model: onlygood.Model) -> None:
    assert "no-such" in refusal(onlygood.BackboneError, model, NEW, backbone="no-such.onnx")


# Files of someone who means harm


def with_kept(model: onlygood.Model, change: Callable[[dict[str, Array], dict[str, Any]], Any]) -> Any:
    """The model with something else kept, and digests that fit."""
    from onlygood.graph.model_file import pack

    assert model.file.kept is not None
    arrays, facts = unpack_arrays(model.file.kept, "x")
    change(arrays, facts)
    graph = onnx.load_model_from_string(model.file.content)
    return SimpleNamespace(file=pack(graph, model.metadata, kept=pack_arrays(arrays, facts)))


@pytest.fixture(scope="module")
def names(model: onlygood.Model) -> list[str]:
    assert model.file.kept is not None
    return sorted(unpack_arrays(model.file.kept, "x")[0])


def test_every_array_that_is_missing_cut_short_or_of_other_numbers_is_refused_or_does_no_harm(
    model: onlygood.Model, names: list[str]
) -> None:
    for number, name in enumerate(names):

        def remove(arrays: dict[str, Array], facts: dict[str, Any], name: str = name) -> None:
            del arrays[name]

        def cut(arrays: dict[str, Array], facts: dict[str, Any], name: str = name) -> None:
            arrays[name] = arrays[name][:-1]

        def flat(arrays: dict[str, Array], facts: dict[str, Any], name: str = name) -> None:
            arrays[name] = arrays[name].reshape(-1, 1, 1)

        # One of the three for each array, and all for some: each takes a third of a second.
        changes = (remove, cut, flat)
        for change in changes if number < 3 else (changes[number % 3],):
            message = refusal(ModelFormatError, with_kept(model, change), NEW[:2])
            assert message.startswith("the model in memory must keep what an update needs"), (name, change, message)


def test_seeded_changes_of_what_is_kept_are_refused_or_give_a_right_model(
    model: onlygood.Model, names: list[str]
) -> None:
    """Whatever the numbers are: an error of ours, or a model whose scores are numbers."""
    random = np.random.default_rng(0)
    answered = 0
    for number in range(24):

        def change(arrays: dict[str, Array], facts: dict[str, Any]) -> None:
            array = arrays[names[int(random.integers(len(names)))]]
            place = tuple(int(random.integers(side)) for side in array.shape)
            if array.dtype.kind == "f":
                array[place] = random.choice([0.0, -1.0, 6e4, -6e4, 1e-8, float(np.finfo(array.dtype).max)])
            else:
                bounds = np.iinfo(array.dtype)
                array[place] = random.choice([bounds.min, bounds.max, 0, 1, bounds.max // 2])

        changed = with_kept(model, change)
        try:
            found = onlygood.update(changed, NEW[:3], accept_anomalous=True, threads=1)
        except onlygood.OnlygoodError as error:
            assert len(str(error).splitlines()) == 1
            continue
        answered += 1
        assert np.isfinite(scores(found, TESTED[:2])).all(), number
    assert answered > 4


def test_facts_that_are_none_are_refused(model: onlygood.Model) -> None:
    changes: list[Callable[[dict[str, Array], dict[str, Any]], Any]] = [
        lambda arrays, facts: facts.update(names=facts["names"][:-1]),
        lambda arrays, facts: facts.update(names=[1] * 24),
        lambda arrays, facts: facts.update(names=None),
        lambda arrays, facts: facts.update(labels=["a"]),
        lambda arrays, facts: facts.update(size=[0, 3]),
        lambda arrays, facts: facts.update(size=[96]),
        lambda arrays, facts: facts.update(noise_scale="a"),
        lambda arrays, facts: facts.update(descriptor_scale=-1),
        lambda arrays, facts: facts.pop("formats"),
    ]
    for change in changes:
        assert "must keep what an update needs" in refusal(ModelFormatError, with_kept(model, change), NEW[:2])


def test_a_size_that_gives_another_input_is_refused() -> None:
    model = fit(FIRST[:6], taps=("stage0",), bank_size=8, threshold_rule="conformal")
    changed = with_kept(model, lambda arrays, facts: facts.update(size=[4000, 500]))
    assert "must be one that this onlygood would fit in the same way" in refusal(ModelFileError, changed, NEW[:2])


def test_what_is_kept_belongs_to_its_file(model: onlygood.Model, updated: onlygood.CalibratedModel) -> None:
    """The digest in the description covers it: it cannot be exchanged, and a file from which it was cut still runs."""
    graph = onnx.load_model_from_string(model.file.content)
    (entry,) = [each for each in graph.metadata_props if each.key == KEPT_KEY]
    entry.value = str(updated.file.kept)
    with pytest.raises(ModelFormatError, match="what it keeps for updates is not what its description says"):
        unpack(graph.SerializeToString(), "x.onnx")
    graph.metadata_props.remove(entry)
    bare = unpack(graph.SerializeToString(), "x.onnx")
    assert bare.kept is None
    np.testing.assert_array_equal(scores(SimpleNamespace(file=bare), TESTED[:3]), scores(model, TESTED[:3]))
    with pytest.raises(ModelFileError, match="keeps nothing"):
        onlygood.update(SimpleNamespace(file=bare), NEW)
    entry = graph.metadata_props.add()
    entry.key, entry.value = KEPT_KEY, "a"
    entry = graph.metadata_props.add()
    entry.key, entry.value = KEPT_KEY, "b"
    with pytest.raises(ModelFormatError, match="must keep one text"):
        unpack(graph.SerializeToString(), "x.onnx")


def test_what_is_kept_of_a_file_is_what_the_fit_knew(model: onlygood.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "part.onnx")
    known, _ = read_kept(read_model_file(tmp_path / "part.onnx"), "part.onnx")
    assert known.names == [f"image {number}" for number in range(24)]
    assert known.digests == [pixel_digest(image[:, :, None]) for image in FIRST]
    assert known.size == (96, 96) and set(known.batches.tolist()) == {0}


def test_an_image_that_cannot_be_read_is_named(model: onlygood.Model, tmp_path: Path) -> None:
    folder = save(tmp_path / "new", numbered(NEW[:3]))
    (folder / "01.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "01.png" in refusal(FolderError, model, folder)
    assert "readable to be found by their pixels" in refusal(FolderError, model, remove=folder)
    assert issubclass(ImageError, onlygood.OnlygoodError)
