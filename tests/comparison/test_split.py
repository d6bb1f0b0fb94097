"""Which images of a folder are learned from, and which are tested."""

from collections import defaultdict
from pathlib import Path

import pytest

from onlygood.comparison.split import DataSplit, split_data
from onlygood.errors import FolderError, LabelledSetError, SettingError
from onlygood.settings import FitSettings
from textures import save, texture, with_defect


def good(count: int, folder: str = "good", start: int = 400) -> dict[str, object]:
    return {f"{folder}/{number:02}.png": texture(start + number) for number in range(count)}


def bad(count: int, folder: str = "hole") -> dict[str, object]:
    return {f"{folder}/{number}.png": with_defect(texture(500 + number)) for number in range(count)}


def split(root: Path, **settings: object) -> DataSplit:
    return split_data(root, FitSettings(skip_unreadable=True, **settings))


def names(found: DataSplit) -> tuple[set[str], set[str], set[str]]:
    """Of the images learned from, and of the good and the anomalous ones tested."""
    tested: dict[bool, set[str]] = defaultdict(set)
    for image in found.tested.images:
        tested[image.is_anomalous].add(image.name)
    return {file.name for file in found.learned}, tested[False], tested[True]


def test_train_and_test_are_as_the_folders_say(tmp_path: Path) -> None:
    save(tmp_path / "train", good(4) | bad(1, "left-alone"))
    save(tmp_path / "test", good(2, start=450) | bad(3))
    mask = {f"{name.removesuffix('.png')}_mask.png": image for name, image in bad(3).items()}
    save(tmp_path / "ground_truth", mask)
    found = split(tmp_path)
    assert found.layout == "train and test"
    assert names(found) == (
        {f"{number:02}.png" for number in range(4)},
        {"good/00.png", "good/01.png"},
        {f"hole/{number}.png" for number in range(3)},
    )
    assert found.tested.has_masks
    assert found.sentence == (
        "Every method learned from the 4 images in train/good and was tested on those in test: 2 good and 3 anomalous."
    )
    assert found.notes == ()


def test_of_good_images_beside_defects_a_third_is_held_out(tmp_path: Path) -> None:
    save(tmp_path, good(9) | bad(2))
    found = split(tmp_path)
    learned, held_out, anomalous = names(found)
    assert found.layout == "held out"
    assert (len(learned), len(held_out)) == (6, 3)
    assert learned | held_out == set(good(9)) and not learned & held_out
    assert anomalous == set(bad(2))
    assert found.sentence == (
        "Of 9 good images, 3 drawn at random (seed 0) were held out and tested with 2 anomalous ones; every method "
        "learned from the other 6."
    )


def test_the_seed_draws_and_the_same_one_draws_the_same(tmp_path: Path) -> None:
    save(tmp_path, good(9))
    first, again = names(split(tmp_path, seed=1)), names(split(tmp_path, seed=1))
    assert first == again
    assert any(names(split(tmp_path, seed=seed)) != first for seed in range(2, 5))


@pytest.mark.parametrize("folder", ["good", "."])
def test_good_images_alone_are_split_too(tmp_path: Path, folder: str) -> None:
    save(tmp_path, good(6, folder))
    found = split(tmp_path)
    learned, held_out, anomalous = names(found)
    assert found.layout == "good images alone"
    assert (len(learned), len(held_out), len(anomalous)) == (4, 2, 0)
    assert "were held out and tested alone, as no others are there" in found.sentence


def test_a_csv_file_is_split_like_a_folder(tmp_path: Path) -> None:
    save(tmp_path, good(6) | bad(1))
    lines = [f"{name},{int(name.startswith('hole'))}" for name in good(6) | bad(1)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    assert names(split(tmp_path / "list.csv")) == names(split(tmp_path))


@pytest.mark.parametrize("count", [4, 5])
def test_at_least_three_are_learned_from(tmp_path: Path, count: int) -> None:
    save(tmp_path, good(count))
    learned, held_out, _ = names(split(tmp_path))
    assert (len(learned), len(held_out)) == (3, count - 3)


def test_sessions_stay_on_one_side(tmp_path: Path) -> None:
    images = {f"good/lot{lot}/{number}.png": texture(10 * lot + number) for lot in range(6) for number in range(3)}
    save(tmp_path, images | bad(1, "hole/lot9"))
    found = split(tmp_path, group_by="folder")
    learned, held_out, _ = names(found)
    lots = [{name.split("/")[1] for name in side} for side in (learned, held_out)]
    assert [len(side) for side in lots] == [4, 2]
    assert not lots[0] & lots[1]
    assert len(set(found.groups)) == 4
    assert "Of 18 good images (6 independent groups), 6 drawn at random" in found.sentence


def test_copies_stay_on_one_side(tmp_path: Path) -> None:
    """Four images, each of them three times: were they drawn one by one, some would be on both sides."""
    save(tmp_path, {f"good/{copy}-{number}.png": texture(number) for copy in "abc" for number in range(4)})
    for seed in range(4):
        learned, held_out, _ = names(split(tmp_path, seed=seed))
        assert not {name[-5] for name in learned} & {name[-5] for name in held_out}
        assert (len(learned), len(held_out)) == (9, 3)


def test_images_that_cannot_be_read_are_left_out_and_said(tmp_path: Path) -> None:
    save(tmp_path, good(6))
    (tmp_path / "good" / "torn.png").write_bytes(b"no image")
    found = split(tmp_path)
    learned, held_out, _ = names(found)
    assert learned | held_out == set(good(6))
    assert any("torn.png" in note for note in found.notes)


def test_images_that_are_on_both_sides_are_said(tmp_path: Path) -> None:
    save(tmp_path / "train", good(4))
    same = {"good/a.png": texture(401), "good/b.png": texture(450), "hole/c.png": texture(400)}
    save(tmp_path / "test", same)
    notes = split(tmp_path).notes
    assert notes[0].startswith("1 good test image has the pixels of an image that is learned from, the first: good/a.p")
    assert notes[1].startswith("1 anomalous image has the pixels of a good one, the first: hole/c.png.")
    assert len(notes) == 2


def test_an_anomalous_image_with_the_pixels_of_a_good_one_is_said(tmp_path: Path) -> None:
    save(tmp_path, good(6) | {"hole/c.png": texture(403)})
    assert [note[:59] for note in split(tmp_path).notes] == [
        "1 anomalous image has the pixels of a good one, the first: "
    ]


@pytest.mark.parametrize(
    ("images", "kind", "sentence"),
    [
        (
            bad(2) | bad(1, "dent"),
            LabelledSetError,
            "needs good images to learn from, and {root} holds dent, hole alone",
        ),
        (good(3, "0") | bad(1), LabelledSetError, "{root} holds 0, which would count as a type of defect: rename"),
        (good(3, "train/good"), LabelledSetError, "{root} holds train without test: add it, or give {root}/train/good"),
        (good(3, "test/good"), LabelledSetError, "{root} holds test without train/good: add it, or give {root}/test"),
        (good(3, "train") | bad(1, "test"), FolderError, "images to learn from must lie in a folder called good"),
        (good(3), FolderError, "at least 4 independent things, 3 to learn from and one to test, got 3 good images in"),
        (good(3, ".") | bad(1), LabelledSetError, "nothing says whether they are good"),
    ],
)
def test_what_leaves_doubt_or_too_little_is_refused(
    tmp_path: Path, images: dict[str, object], kind: type[Exception], sentence: str
) -> None:
    save(tmp_path, images)
    with pytest.raises(kind) as raised:
        split(tmp_path)
    assert sentence.format(root=tmp_path) in str(raised.value)


def test_copies_of_too_few_things_are_refused(tmp_path: Path) -> None:
    save(tmp_path, {f"good/{number}.png": texture(number % 3) for number in range(9)})
    with pytest.raises(FolderError, match=r"got 9 good images in 3 groups of one session or \(nearly\) the same in"):
        split(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelledSetError, match="does not exist: check the path"):
        split(tmp_path / "nowhere")


def test_a_pattern_that_finds_no_label_is_refused(tmp_path: Path) -> None:
    save(tmp_path, good(5, "."))
    with pytest.raises(SettingError, match="group_by must find a label in the name of every image"):
        split(tmp_path, group_by="lot([0-9]+)")
