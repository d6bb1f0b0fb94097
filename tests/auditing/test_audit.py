"""An audit through the real network: what is planted among good images is found, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import onlygood
from onlygood.auditing import examination
from onlygood.auditing.findings import RULES, TITLES, FindingKind
from onlygood.errors import FolderError, NotAllGoodError, SettingError
from repeated_shots import part, repeated, shot
from textures import SIZE, Array, as_colour, numbered, save, texture, textures, with_defect

GOOD = 30


def blurred(image: Array) -> Array:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4)))


def planted() -> dict[str, tuple[str, Array]]:
    """Images that are not as the others are, and what is to be said of each."""
    bright = np.clip(texture(900).astype(np.float64) + 95, 0, 255).astype(np.uint8)
    return {
        "blurred.png": ("blurred", blurred(texture(902))),
        "bright.png": ("exposure", bright),
        "dark.png": ("exposure", (texture(903) // 6).astype(np.uint8)),
        "flat.png": ("exposure", np.full((SIZE, SIZE), 90, np.uint8)),
        "small.png": ("size", texture(904, (64, 64))),
        "colour.png": ("colour", np.stack([texture(905), texture(905) // 2, texture(905)], axis=2)),
        "deep.png": ("depth", texture(906).astype(np.uint16) * 256),
        "format.bmp": ("format", texture(907)),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audited") / "parts"
    save(root, numbered(textures(GOOD)) | {name: image for name, (_, image) in planted().items()})
    (root / "torn.png").write_bytes((root / "00.png").read_bytes()[:500])
    (root / "copy.png").write_bytes((root / "07.png").read_bytes())
    return root


@pytest.fixture(scope="module")
def audit(folder: Path) -> onlygood.Audit:
    return onlygood.audit(folder)


def named(audit: onlygood.Audit, kind: FindingKind) -> set[str]:
    return {name for each in audit.of_kind(kind) for name in each.images}


def test_every_image_that_was_planted_is_found_as_what_it_is(audit: onlygood.Audit) -> None:
    for name, (kind, _) in planted().items():
        assert name in named(audit, kind), (name, kind)  # type: ignore[arg-type]
    assert named(audit, "unreadable") == {"torn.png"}
    assert named(audit, "duplicate") == {"07.png", "copy.png"}
    assert audit.images == GOOD + len(planted()) + 2
    assert audit.read == audit.images - 2 == audit.left_out


def test_an_image_that_leave_one_out_calls_anomalous_is_found() -> None:
    found = onlygood.audit([*textures(24), with_defect(texture(900), level=128)])
    (finding,) = found.of_kind("anomalous")
    assert finding.images == found.exclude == ("image 24",)
    assert finding.sentence.startswith("A detector that has not seen it gives it a score of +")
    assert found.left_out == 25


def test_no_good_image_is_to_be_decided_on(audit: onlygood.Audit) -> None:
    decided = {name for each in audit.findings if each.needs_decision for name in each.images}
    assert decided == {*planted(), "torn.png"}


def test_the_list_to_leave_out_is_what_a_fit_takes(audit: onlygood.Audit, folder: Path) -> None:
    assert set(audit.exclude) == {*planted(), "torn.png"} - {"format.bmp"}
    again = onlygood.audit(folder, exclude=audit.exclude)
    assert again.exclude == ()
    assert {each.kind for each in again.findings if each.needs_decision} == {"format"}
    assert any(note.startswith("8 images left out, as asked with exclude") for note in again.notes)


def test_good_images_alone_need_no_decision() -> None:
    found = onlygood.audit(textures(GOOD, start=50))
    assert not found.needs_decision and found.exclude == () and found.findings == ()
    assert repr(found) == "<Audit: 30 images, 0 findings, 0 to decide on, 0 to leave out>"


def test_what_is_said_has_the_value_and_what_it_is_compared_with(audit: onlygood.Audit) -> None:
    said = {
        name: next(each.sentence for each in audit.of_kind(kind) if each.images == (name,))  # type: ignore[arg-type]
        for name, kind in [("torn.png", "unreadable"), *((name, kind) for name, (kind, _) in planted().items())]
    }
    assert said["flat.png"] == "All of its pixels have one level, 35% of the scale."
    assert said["small.png"].endswith("images is 64 x 64 pixels, and 37 are 96 x 96 pixels.")
    assert said["deep.png"] == "It has 16 bits a channel, and most images have 8."
    assert said["blurred.png"].startswith("Its sharpness is 0.0")
    assert "torn.png is a damaged PNG file" in said["torn.png"]


def test_the_result_is_plain_json(audit: onlygood.Audit) -> None:
    described = audit.to_dict()
    assert described["needs_decision"] is True
    assert described["exclude"] == list(audit.exclude)
    assert {"kind", "images", "session", "finding", "needs_decision", "excludes"} == set(described["findings"][0])
    assert [each["kind"] for each in described["findings"]] == sorted(
        (each["kind"] for each in described["findings"]), key=list(TITLES).index
    )
    assert set(TITLES) == set(RULES)


def test_threads_and_a_second_run_change_nothing(audit: onlygood.Audit, folder: Path) -> None:
    assert onlygood.audit(folder, threads=1).to_dict() == audit.to_dict()


def test_of_some_images_left_out_in_turn_the_others_get_all_other_findings(audit: onlygood.Audit, folder: Path) -> None:
    some = onlygood.audit(folder, max_left_out=20)
    assert some.left_out in (19, 20)  # one of those chosen cannot be read
    assert any(
        note.endswith("calls them anomalous.") and " of 38 images were left out in turn" in note for note in some.notes
    )
    none = onlygood.audit(folder, max_left_out=0)
    assert none.left_out == 0 and none.of_kind("anomalous") == ()
    for kind in set(TITLES) - {"anomalous"}:
        assert none.of_kind(kind) == some.of_kind(kind) == audit.of_kind(kind)  # type: ignore[arg-type]


def test_exposures_of_one_part_are_one_set_and_a_fit_is_said_to_need_a_word() -> None:
    images, owners = [], []
    for number in range(14):
        scene = part(number)
        for frame, gain in enumerate((0.85, 1.0, 1.18)):
            images.append(shot(scene * gain, 10 * number + frame, gain=0.0, noise=1.0))
            owners.append(number)
    sets = {frozenset(each.images) for each in onlygood.audit(images, max_left_out=0).of_kind("near-duplicate")}
    whole = {frozenset(f"image {at}" for at, owner in enumerate(owners) if owner == number) for number in range(14)}
    assert len(sets & whole) >= 13
    assert all(len({owners[int(name.split()[1])] for name in each}) == 1 for each in sets)


def test_shots_of_one_part_that_a_fit_groups_need_no_decision() -> None:
    images, _ = repeated(12, 3)
    found = onlygood.audit(images, max_left_out=0).of_kind("near-duplicate")
    assert len(found) >= 11
    assert not any(each.needs_decision for each in found)
    assert found[0].sentence.endswith("a fit keeps them together and counts them as one.")


def test_sessions_are_compared_where_it_is_said_what_they_are(tmp_path: Path) -> None:
    images = {f"monday/{number}.png": texture(number) for number in range(12)}
    images |= {f"tuesday/{number}.png": texture(100 + number) for number in range(12)}
    images |= {f"friday/{number}.png": (texture(200 + number) // 2).astype(np.uint8) for number in range(12)}
    save(tmp_path, images)
    assert onlygood.audit(tmp_path, max_left_out=0).of_kind("session") == ()
    sessions = onlygood.audit(tmp_path, group_by="folder", max_left_out=0).of_kind("session")
    assert sessions[0].session == "friday"
    assert all(name.startswith("friday/") for name in sessions[0].images)
    assert "brightness (median 0.25 against 0.5, lower in 100% of pairs, p = " in sessions[0].sentence
    labels = [name.split("/")[0] for name in images]
    by_labels = onlygood.audit(list(images.values()), groups=labels, max_left_out=0)
    assert by_labels.of_kind("session")[0].session == "friday"


def test_sessions_that_cannot_be_compared_are_said_so(tmp_path: Path) -> None:
    save(tmp_path, {f"a/{number}.png": texture(number) for number in range(10)} | {"b/1.png": texture(90)})
    notes = onlygood.audit(tmp_path, group_by="folder", max_left_out=0).notes
    assert "2 sessions have too few independent images to be compared with the others: a, b." in notes
    notes = onlygood.audit(tmp_path / "a", group_by="folder", max_left_out=0).notes
    assert "All images are of one session, so there is none to compare it with." in notes


def test_two_kinds_are_named() -> None:
    images = [as_colour(image) for image in textures(12)]
    others = [as_colour(np.kron(texture(500 + seed, (8, 8)), np.ones((12, 12), np.uint8))) for seed in range(12)]
    (finding,) = onlygood.audit([*images, *others], max_left_out=0).of_kind("two kinds")
    assert finding.sentence.startswith("The images are of two kinds, 12 such as image ")
    assert not finding.excludes


def test_where_many_are_of_another_size_none_is_to_be_left_out() -> None:
    images = [*textures(15), *(texture(300 + number, (64, 64)) for number in range(8))]
    (finding,) = onlygood.audit(images, max_left_out=0).of_kind("size")
    assert len(finding.images) == 8 and finding.needs_decision and not finding.excludes


def test_where_sizes_vary_one_that_is_far_larger_is_named() -> None:
    random = np.random.default_rng(0)
    images = [texture(number, tuple(random.integers(88, 104, 2).tolist())) for number in range(30)]
    found = onlygood.audit([*images, texture(99, (300, 290))], max_left_out=0).of_kind("size")
    assert [each.images for each in found] == [("image 30",)]
    assert "times the median area" in found[0].sentence


def test_16_bit_images_are_compared_on_the_scale_of_their_camera() -> None:
    images: list[Any] = [texture(number).astype(np.uint16) * 8 + 500 for number in range(14)]
    clipped = images[3].copy()
    clipped[:20] = 4095
    found = onlygood.audit([*images, clipped, texture(80)], max_left_out=0)
    assert named(found, "depth") == {"image 15"}
    assert named(found, "exposure") == {"image 14"}
    assert "its mean level is at 50% of the scale (median of all images: 37%)" in found.of_kind("exposure")[0].sentence
    assert "are at the end of the scale" in found.of_kind("exposure")[1].sentence


def test_too_few_different_things_are_said_so() -> None:
    found = onlygood.audit([texture(1)] * 4)
    assert found.left_out == 0
    assert any(note.startswith("No image was left out in turn") for note in found.notes)
    assert [each.kind for each in found.findings] == ["duplicate"]


def test_memory_of_those_that_are_not_left_out_is_a_descriptor_each(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    extract = examination.extract_features

    def watched(sources: Any, *others: Any, **settings: Any) -> Any:
        kept.append(len(sources))
        return extract(sources, *others, **settings)

    monkeypatch.setattr(examination, "extract_features", watched)
    assert onlygood.audit(textures(20), max_left_out=8).left_out == 8
    assert kept == [8]


@pytest.mark.parametrize(
    ("images", "settings", "error", "pattern"),
    [
        ([], {}, FolderError, "audit needs good images, got an empty sequence"),
        (textures(1), {}, FolderError, "audit compares good images with one another and needs at least 3, got 1: add"),
        (texture(1), {}, FolderError, "needs at least 3, got 1"),
        (textures(3), {"max_left_out": -1}, SettingError, "max_left_out must be a whole number of at least 0, got -1"),
        (textures(3), {"group_by": "folder"}, SettingError, "group_by needs paths"),
        (textures(3), {"groups": ["a"]}, SettingError, "groups must have one label an image, got 1 for 3 images"),
        ([b"x"] * 4, {}, FolderError, "good images must be readable, got none among 4: image 0"),
        ([b"x"] * 4, {"max_left_out": 0}, FolderError, "good images must be readable, got none among 4: image 0"),
        ([np.zeros((64, 64), np.uint8)] * 3, {}, FolderError, "good images must show something, got 3 in which every"),
    ],
)
def test_images_and_settings_that_cannot_be_used(
    images: Any, settings: dict[str, Any], error: type[Exception], pattern: str
) -> None:
    with pytest.raises(error, match=pattern):
        onlygood.audit(images, **settings)


def test_defects_below_the_folder_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is empty: put images into it"):
        onlygood.audit(tmp_path)
    save(tmp_path, numbered(textures(3)))
    save(tmp_path / "scratch", numbered(textures(2)))
    with pytest.raises(NotAllGoodError, match="audit needs good images alone, and below"):
        onlygood.audit(tmp_path)
