"""Which images are shown together, and what they are called."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from files import touch
from onlygood.datasets.selection import ImageChoice, _shares, choose_images, folder_labels
from onlygood.errors import FolderError, OnlygoodError, SettingError


def choose(*folders: Path, reference: Path | None = None, most: int = 1000, seed: int = 0) -> ImageChoice:
    return choose_images(folders, reference=reference, most=most, seed=seed)


def labels(choice: ImageChoice) -> list[str]:
    return [label.name for label in choice.labels]


def test_of_one_folder_the_first_sub_folders_are_the_labels_and_good_comes_first(tmp_path: Path) -> None:
    root = touch(tmp_path / "test", "break/a.png", "good/x/b.png", "good/c.png", "loose.png")
    choice = choose(root)
    assert labels(choice) == ["good", "test", "break"]
    assert [(image.name, image.label) for image in choice.images] == [
        ("good/c.png", 0),
        ("good/x/b.png", 0),
        ("loose.png", 1),
        ("break/a.png", 2),
    ]


def test_loose_images_are_told_from_a_sub_folder_of_the_folders_own_name(tmp_path: Path) -> None:
    assert labels(choose(touch(tmp_path / "test", "test/a.png", "b.png"))) == ["test/.", "test"]


def test_of_several_folders_the_names_are_the_labels(tmp_path: Path) -> None:
    root = touch(tmp_path, "shoes/sneaker/1.png", "shoes/boot/lot/1.png")
    choice = choose(root / "shoes" / "sneaker", root / "shoes" / "boot")
    assert labels(choice) == ["sneaker", "boot"]
    assert [image.name for image in choice.images] == ["sneaker/1.png", "boot/lot/1.png"]


def test_folders_of_one_name_are_told_apart_by_what_is_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder_labels(["/a/train/good", "/a/test/good", "/a/test/hole"]) == ["train/good", "test/good", "hole"]
    assert folder_labels(["/a/x/good", "/b/x/good"]) == ["a/x/good", "b/x/good"]
    assert folder_labels(["/good", "/a/good/../good"]) == ["/good", "a/good"]
    monkeypatch.chdir("/usr")
    assert folder_labels([".", "lib"]) == ["usr", "lib"]


def test_each_class_of_the_reference_has_a_label(tmp_path: Path) -> None:
    touch(tmp_path, "shoes/1.png", "shoes/2.png", "others/dog/1.png", "others/cat/x/1.png")
    choice = choose(tmp_path / "shoes", reference=tmp_path / "others")
    assert [(label.name, label.is_reference, label.found) for label in choice.labels] == [
        ("shoes", False, 2),
        ("reference: cat", True, 1),
        ("reference: dog", True, 1),
    ]
    assert choice.images[-1].name == "others/dog/1.png"


@pytest.mark.parametrize(
    ("found", "most", "shares"),
    [
        ([5, 5], 100, [5, 5]),
        ([100, 100], 50, [25, 25]),
        ([3, 100, 100], 43, [3, 20, 20]),
        ([100, 1, 7], 11, [5, 1, 5]),
        ([100, 100, 100], 5, [1, 2, 2]),
        ([4, 4, 4], 2, [0, 1, 1]),
    ],
)
def test_as_many_of_each_are_drawn_as_their_numbers_allow(found: list[int], most: int, shares: list[int]) -> None:
    assert list(_shares(found, most)) == shares


def test_what_is_drawn_depends_on_the_seed_alone_and_stays_in_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a/{number:03}.png" for number in range(200)), *(f"b/{number}.png" for number in range(3)))
    once = choose(tmp_path, most=23)
    assert once == choose(tmp_path, most=23)
    assert once.images != choose(tmp_path, most=23, seed=1).images
    assert Counter(image.label for image in once.images) == {0: 20, 1: 3}
    assert [label.found for label in once.labels] == [200, 3]
    names = [image.name for image in once.images]
    assert names == sorted(set(names))


def test_masks_are_no_images(tmp_path: Path) -> None:
    touch(
        tmp_path, "bottle/test/good/1.png", "bottle/Ground_Truth/crack/1_mask.png", "masked/1.png", "ground_truth/1.png"
    )
    choice = choose(tmp_path / "bottle")
    assert [label.name for label in choice.labels] == ["test"]
    # What was given by its name is meant, and so is a file of that name.
    assert len(choose(tmp_path / "ground_truth", tmp_path / "masked").images) == 2


@pytest.mark.parametrize(
    ("folders", "reference", "error", "message"),
    [
        ((), None, SettingError, "explore needs at least one folder of images, got none: name one"),
        (("none",), None, FolderError, "none does not exist: check the path"),
        (("empty",), None, FolderError, "empty is empty: put images into it"),
        (("a", "a/../a"), None, SettingError, "each folder must be given once, got .* twice: leave one out"),
        (("a",), "a", SettingError, "each folder must be given once"),
        (
            ("masks",),
            None,
            FolderError,
            r"masks must hold images, got 1 mask alone \(ground_truth/crack/1\.png\): give",
        ),
        (("a/1.png",), None, FolderError, "is a file where a folder of images is meant"),
        (
            ("a",),
            "b",
            FolderError,
            "reference images must lie in one sub-folder a class, got 1 of 2 in .*b itself, such as 1.png: make",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_refused(
    tmp_path: Path, folders: tuple[str, ...], reference: str | None, error: type[OnlygoodError], message: str
) -> None:
    touch(tmp_path, "a/1.png", "b/1.png", "b/cat/1.png", "masks/ground_truth/crack/1.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(error) as caught:
        choose(*(tmp_path / folder for folder in folders), reference=reference and tmp_path / reference)  # type: ignore[arg-type]
    assert re.search(message, str(caught.value))
