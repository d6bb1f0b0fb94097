import csv
import io
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from files import put
from hostile import encoded, noise, small_images
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.labelled import find_labelled
from onlygood.datasets.labelled_set import LabelledImage, LabelledSet
from onlygood.errors import LabelledSetError, SettingError
from onlygood.images.reading import ReadingLimits, read_image

STACK = small_images()["tiff-pages"]  # three pages


def table(root: Path, text: str, name: str = "labels.csv") -> Path:
    path = root / name
    path.write_bytes(text.encode())
    return path


def said(labelled: LabelledSet) -> list[tuple[str, bool, str]]:
    return [(one.name, one.is_anomalous, one.defect) for one in labelled.images]


def masks(labelled: LabelledSet, root: Path) -> dict[str, str]:
    return {one.name: one.mask.relative_to(root).as_posix() for one in labelled.images if one.mask is not None}


def sessions(labelled: LabelledSet) -> dict[str, str | None]:
    return {one.name: one.session for one in labelled.images}


def refused(path: Path | str, *, group_by: str | None = None) -> str:
    with pytest.raises(LabelledSetError) as raised:
        find_labelled(path, group_by=group_by)
    text = str(raised.value)
    assert "\n" not in text
    return text


# Folders


def test_the_folder_good_holds_good_images_and_all_others_types_of_defects(tmp_path: Path) -> None:
    put(tmp_path, "scratch/2.png", "good/1.png", "good/0.png", "bad/1.JPG", "good/lot3/a.png", "bad/lot3/deep/a.png")
    found = find_labelled(tmp_path)
    assert said(found) == [
        ("bad/1.JPG", True, "bad"),
        ("bad/lot3/deep/a.png", True, "bad"),
        ("good/0.png", False, "good"),
        ("good/1.png", False, "good"),
        ("good/lot3/a.png", False, "good"),
        ("scratch/2.png", True, "scratch"),
    ]
    assert (found.layout, found.notes, found.has_masks) == ("folders", (), False)
    assert [one.file.path for one in found.images] == [tmp_path / one.name for one in found.images]
    assert {(one.mask, one.session) for one in found.images} == {(None, None)}
    assert find_labelled(str(tmp_path)) == found


def test_folders_come_sorted_as_their_images_names_do(tmp_path: Path) -> None:
    put(tmp_path, "crack/1.png", "crack-b/1.png", "good/1.png")
    names = [one.name for one in find_labelled(tmp_path).images]
    assert names == ["crack-b/1.png", "crack/1.png", "good/1.png"]


def test_a_labelled_image_can_be_made_by_hand() -> None:
    file = ImageFile(Path("stack.tif"), "scratch/stack.tif", 1, 3)
    image = LabelledImage(file=file, is_anomalous=True, defect="scratch", mask=None, session=None)
    assert image.name == "scratch/stack.tif#2"


def test_good_is_good_in_any_case(tmp_path: Path) -> None:
    put(tmp_path, "Good/1.png", "bad/1.png")
    assert said(find_labelled(tmp_path)) == [("Good/1.png", False, "good"), ("bad/1.png", True, "bad")]


@pytest.mark.parametrize("given", ["", "test"])
def test_masks_are_found_beside_the_folder_test(tmp_path: Path, given: str) -> None:
    put(tmp_path, "train/good/9.png", "test/good/0.png", "test/crack/0.png", "test/crack/1.png", "test/hole/0.png")
    put(tmp_path, "license.txt", *(f"ground_truth/{name}_mask.png" for name in ("crack/0", "crack/1", "hole/0")))
    found = find_labelled(tmp_path / given)
    assert said(found) == [
        ("crack/0.png", True, "crack"),
        ("crack/1.png", True, "crack"),
        ("good/0.png", False, "good"),
        ("hole/0.png", True, "hole"),
    ]
    names = ("crack/0", "crack/1", "hole/0")
    assert masks(found, tmp_path) == {f"{name}.png": f"ground_truth/{name}_mask.png" for name in names}
    assert (found.layout, found.notes, found.has_masks) == ("mvtec", (), True)


@pytest.mark.parametrize("given", [".", "good/.."])
def test_the_folder_test_may_be_given_as_seen_from_within(
    tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "test/good/0.png", "test/crack/0.png", "ground_truth/crack/0_mask.png")
    monkeypatch.chdir(tmp_path / "test")
    found = find_labelled(given)
    assert [one.name for one in found.images if one.mask is not None] == ["crack/0.png"]


def test_masks_are_found_beside_a_link_called_test_and_beside_a_folder_test_that_a_link_leads_to(
    tmp_path: Path,
) -> None:
    put(tmp_path, "a/split/good/0.png", "a/split/crack/0.png", "b/ground_truth/crack/0_mask.png")
    link(tmp_path / "b" / "test", tmp_path / "a" / "split")
    assert find_labelled(tmp_path / "b" / "test").layout == "mvtec"
    put(tmp_path, "c/test/good/0.png", "c/test/crack/0.png", "c/ground_truth/crack/0_mask.png")
    link(tmp_path / "newest", tmp_path / "c" / "test")
    assert find_labelled(tmp_path / "newest").layout == "mvtec"


@pytest.mark.parametrize("name", ["ground_truth", "Ground_Truth"])
def test_ground_truth_within_the_folder_holds_masks_and_is_no_type_of_defect(tmp_path: Path, name: str) -> None:
    put(tmp_path, "good/0.png", "crack/0.png", f"{name}/crack/0_mask.png")
    found = find_labelled(tmp_path)
    assert said(found) == [("crack/0.png", True, "crack"), ("good/0.png", False, "good")]
    assert masks(found, tmp_path) == {"crack/0.png": f"{name}/crack/0_mask.png"}


def test_without_masks_the_layout_is_folders(tmp_path: Path) -> None:
    put(tmp_path, "test/good/0.png", "test/crack/0.png")
    assert (find_labelled(tmp_path).layout, find_labelled(tmp_path).notes) == ("folders", ())
    (tmp_path / "ground_truth").mkdir()
    assert find_labelled(tmp_path).layout == "folders"
    assert find_labelled(tmp_path).notes == ("ground_truth holds no masks.",)


def test_only_a_folder_called_test_has_its_masks_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "validation/good/0.png", "validation/crack/0.png", "ground_truth/crack/0_mask.png")
    assert not find_labelled(tmp_path / "validation").has_masks


def test_images_without_a_mask_and_masks_without_an_image_are_noted(tmp_path: Path) -> None:
    put(tmp_path, *(f"crack/{number}.png" for number in range(4)), "good/0.png")
    put(tmp_path, "ground_truth/crack/2_mask.png", "ground_truth/crack/3_mask.png")
    assert find_labelled(tmp_path).notes == (
        "2 anomalous images have no mask and are left out of the pixel metrics, the first: crack/0.png.",
    )
    put(tmp_path, "ground_truth/crack/0_mask.png", "ground_truth/crack/8_mask.png")
    assert find_labelled(tmp_path).notes == (
        "1 mask in ground_truth belongs to no anomalous image, the first: crack/8_mask.png.",
        "1 anomalous image has no mask and is left out of the pixel metrics, the first: crack/1.png.",
    )
    put(tmp_path, "ground_truth/good/0_mask.png")
    assert find_labelled(tmp_path).notes[0] == (
        "2 masks in ground_truth belong to no anomalous image, the first: crack/8_mask.png."
    )


def test_masks_of_which_none_belongs_to_an_image_are_an_error_that_shows_the_names(tmp_path: Path) -> None:
    put(tmp_path, "test/good/0.png", "test/crack/0.png", "test/crack/1.png", "ground_truth/crack/mask_0.png")
    assert refused(tmp_path) == (
        f"masks must have the names of their images, and none in {tmp_path / 'ground_truth'} has, the first: "
        "crack/mask_0.png: name the mask of crack/0.png, for example, ground_truth/crack/0_mask.png, and so with "
        "all; several of one image go into a folder ground_truth/crack/0"
    )


def test_several_masks_of_an_image_are_taken_as_mvtec_loco_has_them(tmp_path: Path) -> None:
    put(tmp_path, "test/good/0.png", "test/logical/0.png", "test/logical/1.png")
    put(tmp_path, "ground_truth/logical/0/000.png", "ground_truth/logical/0/001.png", "ground_truth/logical/1/000.png")
    found = find_labelled(tmp_path)
    masks = [[mask.name for mask in (image.mask, *image.more_masks) if mask] for image in found.images]
    assert (masks, found.notes) == ([[], ["000.png", "001.png"], ["000.png"]], ())


def test_masks_of_a_set_of_good_images_are_only_noted(tmp_path: Path) -> None:
    put(tmp_path, "good/0.png", "ground_truth/crack/0_mask.png")
    found = find_labelled(tmp_path)
    assert found.notes == ("1 mask in ground_truth belongs to no anomalous image, the first: crack/0_mask.png.",)
    assert found.layout == "folders"


def test_pages_of_a_stack_have_no_mask(tmp_path: Path) -> None:
    put(tmp_path, "good/0.png", "crack/0.png", "ground_truth/crack/0_mask.png", "ground_truth/crack/stack_mask.tif")
    put(tmp_path, "crack/stack.tif", data=STACK)
    found = find_labelled(tmp_path)
    assert [one.name for one in found.images if one.mask is None] == [
        *("crack/stack.tif#1", "crack/stack.tif#2", "crack/stack.tif#3"),
        "good/0.png",
    ]
    assert found.notes == (
        "1 mask in ground_truth belongs to no anomalous image, the first: crack/stack_mask.tif.",
        "3 anomalous images have no mask and are left out of the pixel metrics, the first: crack/stack.tif#1.",
    )


def test_only_good_or_only_bad_images_are_a_set_and_the_latter_is_noted(tmp_path: Path) -> None:
    put(tmp_path, "a/good/0.png", "b/lot1/0.png", "b/lot2/0.png")
    assert find_labelled(tmp_path / "a").notes == ()
    found = find_labelled(tmp_path / "b")
    assert all(one.is_anomalous for one in found.images)
    assert found.notes == ("No folder is called good: all 2 images count as anomalous.",)


def test_hidden_files_are_skipped_and_other_files_noted(tmp_path: Path) -> None:
    put(tmp_path, "good/0.png", "good/.1.png", ".cache/2.png", "__MACOSX/good/0.png", ".3.png", "readme.txt")
    put(tmp_path, "hole/notes.txt", "good/a.log", "good/lot/b.mkv", data=b"text")
    (tmp_path / "dent").mkdir()
    found = find_labelled(tmp_path)
    assert [one.name for one in found.images] == ["good/0.png"]
    assert found.notes == (
        "The folder dent holds no images.",
        "The folder hole holds no images.",
        f"1 folder is left out of {tmp_path} as what a storage system keeps for itself (__MACOSX), with 1 image.",
        f"1 file in {tmp_path} looks like images and is not read: good/lot/b.mkv is a video (Matroska), which is not "
        "read: save its frames as PNG images.",
        f"2 other files are not looked at in {tmp_path}: good/a.log, hole/notes.txt.",
    )


@pytest.mark.parametrize(
    "name",
    [
        *(
            "ok",
            "OK",
            "pass",
            "normal",
            "non_defective",
            "Non-Defective",
            "no defect",
            "i.O.",
            "normal_dir",
            "ok_front",
        ),
        *("goods", "good2", "good parts", "NODefect_images", "Gut"),
    ],
)
def test_other_words_for_good_are_good_and_a_note_says_so(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/0.png", "crack/0.png")
    found = find_labelled(tmp_path)
    assert {one.name: (one.is_anomalous, one.defect) for one in found.images} == {
        "crack/0.png": (True, "crack"),
        f"{name}/0.png": (False, "good"),
    }
    assert found.notes == (f"The images in {name} count as good, and those in all other folders as anomalous.",)


@pytest.mark.parametrize("name", ["0", "negative", "clean", "good_lot3", "MT_Free"])
def test_words_that_may_mean_good_are_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/0.png", "crack/0.png")
    assert refused(tmp_path) == (
        f"good images must lie in a folder called good, and {tmp_path} holds {name}, which would count as a type of "
        "defect: rename it to good, or list the images in a CSV file with the columns path and label"
    )
    put(tmp_path, "good/0.png")
    assert f"{name}, which would count as a type of defect: move its images into good, or list" in refused(tmp_path)


@pytest.mark.parametrize("name", ["nok", "ko", "not_good", "ng", "not_ok", "1", "defective", "pass_through", "goodie"])
def test_words_for_bad_are_types_of_defects(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}/0.png", "good/0.png")
    assert (f"{name}/0.png", True, name) in said(find_labelled(tmp_path))


@pytest.mark.parametrize("name", ["masks", "Mask", "ground-truth", "groundtruth", "gt", "mask_dir"])
def test_masks_may_lie_under_another_name(tmp_path: Path, name: str) -> None:
    put(tmp_path, "good/0.png", "crack/0.png", f"{name}/crack/0.png")
    found = find_labelled(tmp_path)
    assert [(one.name, one.mask) for one in found.images] == [
        ("crack/0.png", tmp_path / name / "crack" / "0.png"),
        ("good/0.png", None),
    ]
    put(tmp_path, "masks_2/crack/0.png")
    assert refused(tmp_path).endswith("leave one, called ground_truth, with a folder for each type of defect in it")


@pytest.mark.parametrize(
    ("files", "given"),
    [
        (("01/train/ok/1.bmp", "01/test/ok/1.bmp", "01/test/ko/1.bmp", "01/ground_truth/ko/1.png"), "01"),
        (("Data/Images/Normal/1.JPG", "Data/Images/Anomaly/1.JPG", "Data/Masks/Anomaly/1.png"), "Data/Images"),
    ],
    ids=["btad", "visa"],
)
def test_layouts_of_other_data_sets_are_taken_right(tmp_path: Path, files: tuple[str, ...], given: str) -> None:
    put(tmp_path, *files)
    good, anomalous = sorted(find_labelled(tmp_path / given).images, key=lambda one: one.is_anomalous)
    assert (good.is_anomalous, good.mask, anomalous.is_anomalous) == (False, None, True)
    assert anomalous.mask is not None


def test_the_root_of_visa_is_answered_with_the_folder_to_give(tmp_path: Path) -> None:
    put(tmp_path, "Data/Images/Normal/1.JPG", "Data/Images/Anomaly/1.JPG", "Data/Masks/Anomaly/1.png")
    assert f"so that Data is no type of defect: give {tmp_path}/Data/Images, or arrange" in refused(tmp_path)


@pytest.mark.parametrize("name", ["train", "validation"])
def test_images_to_learn_from_are_no_type_of_defect(tmp_path: Path, name: str) -> None:
    put(tmp_path, "good/0.png", f"{name}/0.png")
    assert refused(tmp_path) == (
        f"the folders of {tmp_path} must be good and types of defects, got {name}: give the folder of the test "
        f"images alone, or move {name} away"
    )


def test_test_beside_good_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "good/0.png", "test/good/0.png", "test/bad/0.png")
    assert refused(tmp_path) == (
        f"{tmp_path} holds test beside good, and only one of them can be the test images: give {tmp_path / 'test'}, "
        "or rename test if it is a type of defect"
    )


@pytest.mark.parametrize(("place", "give"), [("bottle/test/good", "bottle/test"), ("lot3/Good", "lot3")])
def test_a_folder_good_that_lies_deeper_is_refused(tmp_path: Path, place: str, give: str) -> None:
    put(tmp_path, f"{place}/0.png", f"{give}/crack/0.png")
    top = place.partition("/")[0]
    assert refused(tmp_path).startswith(
        f"the folder good must lie at the top, and {tmp_path} holds {place}, so that {top} is no type of defect: give "
        f"{tmp_path / give}, or arrange them as good/1.png"
    )


def test_of_a_data_set_of_several_kinds_the_test_images_are_to_be_given(tmp_path: Path) -> None:
    put(tmp_path, "bottle/train/good/0.png", "bottle/test/good/0.png", "bottle/test/crack/0.png")
    assert f"give {tmp_path / 'bottle' / 'test'}, or" in refused(tmp_path)


LAYOUT = (
    "arrange them as good/1.png, scratch/1.png and so on, with a folder for each type of defect, or list them in a CSV "
    "file with the columns path and label"
)


def test_folders_that_say_too_little_are_refused_with_the_layout(tmp_path: Path) -> None:
    flat = put(tmp_path / "flat", "a.png", "b.png")
    beside = put(tmp_path / "beside", "good/a.png", "crack/a.png", "x.png")
    empty = put(tmp_path / "empty", "good/a.txt", "b.txt")
    truth = put(tmp_path / "truth", "ground_truth/crack/a.png")
    for folder, words in (
        (flat, f"{flat} holds 2 images and no folders that say which are good: {LAYOUT}"),
        (
            beside,
            f"{beside} holds 1 image beside its folders, the first: x.png, and nothing says whether it is good: "
            f"{LAYOUT}",
        ),
        (empty, f"{empty} must hold folders of labelled images, got none: {LAYOUT}"),
        (truth, f"{truth} must hold folders of labelled images, got none: {LAYOUT}"),
    ):
        assert refused(folder) == words


def test_paths_that_are_neither_folder_nor_csv_file_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "labels.txt")
    for name in ("a.png", "labels.txt"):
        assert refused(tmp_path / name) == (
            f"labelled images must be a folder or a CSV file (.csv), got {tmp_path / name}: give the folder that "
            "holds good/ and a folder for each type of defect"
        )
    assert refused(tmp_path / "missing") == f"{tmp_path / 'missing'} does not exist: check the path"
    assert "cannot be opened (" in refused("null\0character")


@pytest.mark.parametrize("place", ["", "crack", "good/lot", "ground_truth"])
def test_a_folder_that_may_not_be_listed_is_an_error_and_not_skipped(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "good/lot/a.png", "good/b.png", "crack/b.png", "ground_truth/crack/b.png")

    def refusing(listing: Callable[[Path], object]) -> Callable[[Path], object]:
        def refuse(path: Path) -> object:
            if Path(path) == tmp_path / place:
                raise PermissionError(13, "Permission denied")
            return listing(path)

        return refuse

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    assert "cannot be listed (Permission denied): change its permissions" in refused(tmp_path)


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("links may not be made here")


def test_a_file_that_is_good_and_anomalous_by_a_link_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "good/a.png", "good/b.png", "crack/a.png")
    link(tmp_path / "crack" / "z.png", tmp_path / "good" / "b.png")
    words = (
        f"an image must be good or anomalous, and in {tmp_path} one file is both good/b.png (good) and crack/z.png "
        "(anomalous): remove the wrong one"
    )
    assert refused(tmp_path) == words
    (tmp_path / "crack" / "z.png").unlink()
    link(tmp_path / "scratch", tmp_path / "good")
    assert "one file is both good/a.png (good) and scratch/a.png (anomalous)" in refused(tmp_path)


def test_a_file_that_is_listed_twice_by_a_link_is_noted(tmp_path: Path) -> None:
    put(tmp_path, "good/a.png", "crack/a.png")
    link(tmp_path / "good" / "b.png", tmp_path / "good" / "a.png")
    found = find_labelled(tmp_path)
    assert len(found.images) == 3
    assert found.notes == ("1 image is the same file as another by a link and counted again, the first: good/b.png.",)


def test_a_linked_folder_of_a_type_of_defect_is_followed(tmp_path: Path) -> None:
    root = put(tmp_path / "root", "good/a.png")
    link(root / "crack", put(tmp_path / "elsewhere", "a.png"))
    link(root / "itself", root / "itself")
    assert said(find_labelled(root)) == [("crack/a.png", True, "crack"), ("good/a.png", False, "good")]


# Sessions


def test_sessions_of_folders_are_the_folders_below_good_and_the_types_of_defects(tmp_path: Path) -> None:
    put(tmp_path, "good/lot3/a.png", "good/lot4/x/a.png", "good/b.png", "crack/lot3/a.png")
    assert sessions(find_labelled(tmp_path, group_by="folder")) == {
        "crack/lot3/a.png": "lot3",
        "good/b.png": ".",
        "good/lot3/a.png": "lot3",
        "good/lot4/x/a.png": "lot4/x",
    }


def test_sessions_by_folder_need_folders(tmp_path: Path) -> None:
    put(tmp_path, "good/a.png", "crack/a.png")
    with pytest.raises(SettingError, match=r"needs a folder for each session below good .* as crack/lot1, or give a"):
        find_labelled(tmp_path, group_by="folder")


def test_sessions_by_a_pattern_come_from_the_name(tmp_path: Path) -> None:
    put(tmp_path, "good/a_s1.png", "good/b_s2.png", "crack/a_s1.png")
    found = find_labelled(tmp_path, group_by=r"_(s\d)")
    assert sessions(found) == {"crack/a_s1.png": "s1", "good/a_s1.png": "s1", "good/b_s2.png": "s2"}
    with pytest.raises(SettingError, match=r"finds none in 'crack/a_s1\.png' \(3 of 3 images\)"):
        find_labelled(tmp_path, group_by="lot")
    with pytest.raises(SettingError, match="which is not one"):
        find_labelled(tmp_path, group_by="(")


def test_sessions_of_a_csv_file_come_from_its_column_unless_they_are_asked_for_otherwise(tmp_path: Path) -> None:
    put(tmp_path, "x/a.png", "y/z/b.png", "c.png")
    path = table(tmp_path, "path,session,label\nx/a.png, monday ,good\ny/z/b.png,,bad\nc.png,monday,bad\n")
    assert list(sessions(find_labelled(path)).values()) == ["monday", None, "monday"]
    assert list(sessions(find_labelled(path, group_by="folder")).values()) == ["x", "y/z", "."]
    assert list(sessions(find_labelled(path, group_by=r"(\w)\.png")).values()) == ["a", "b", "c"]
    plain = table(tmp_path, "path,label\nc.png,good\n")
    assert sessions(find_labelled(plain)) == {"c.png": None}


# CSV files


def test_a_csv_file_lists_images_in_its_order(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "sub/b.png", "sub/c.bin", "m/b.png", "outside/d.png")
    outside = tmp_path / "outside" / "d.png"
    text = f"Label,defect, PATH ,mask\n1,dent,sub/b.png,m/b.png\ngood,,a.png,\nBad ,,{outside},\n 0,Good,sub/c.bin,\n"
    found = find_labelled(table(tmp_path, text, "Labels.CSV"))
    assert said(found) == [
        ("sub/b.png", True, "dent"),
        ("a.png", False, "good"),
        (str(outside), True, "bad"),
        ("sub/c.bin", False, "good"),
    ]
    assert [one.file.path for one in found.images] == [
        *(tmp_path / "sub" / "b.png", tmp_path / "a.png", outside, tmp_path / "sub" / "c.bin")
    ]
    assert masks(found, tmp_path) == {"sub/b.png": "m/b.png"}
    assert (found.layout, found.has_masks) == ("csv", True)
    assert found.notes == (
        f"1 anomalous image has no mask and is left out of the pixel metrics, the first: {outside}.",
    )


LABELS = {"good": False, "Good": False, "0": False, "BAD": True, "bad": True, "Anomalous": True, "1": True}


@pytest.mark.parametrize(("label", "is_anomalous"), LABELS.items())
def test_labels_are_words_or_digits_in_any_case(tmp_path: Path, label: str, is_anomalous: bool) -> None:
    put(tmp_path, "a.png")
    (image,) = find_labelled(table(tmp_path, f"path,label\na.png,\t{label} \n")).images
    assert (image.is_anomalous, image.defect) == (is_anomalous, "bad" if is_anomalous else "good")


@pytest.mark.parametrize("label", ["", "  ", "crack", "2", "-1", "true", "go od", "0.0"])
def test_other_labels_are_refused_with_their_line(tmp_path: Path, label: str) -> None:
    put(tmp_path, "a.png", "b.png")
    path = table(tmp_path, f"path,label\na.png,good\n\nb.png,{label}\n")
    assert refused(path) == (
        f"{path}, line 4: a label must be good or 0, or bad, anomalous or 1, got {label.strip()!r}: write one of "
        "these, and the type of defect, if that is what it is, into a column defect"
    )


def rows(*pairs: str) -> str:
    return "path,label,mask,defect\n" + "".join(f"{pair}\n" for pair in pairs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", " is empty: it must have a header with the columns path and label, and rows below it"),
        ("\n ,\n\n", " is empty: it must have a header with the columns path and label, and rows below it"),
        ("path,label\n", " must have rows below its header, got none: add one for each image"),
        ("path;label\n;\n\n", " must have rows below its header, got none: add one for each image"),
        (
            "a.png,good\nb.png,bad\n",
            ", line 1: the header must have the columns path and label, separated by commas or semicolons, got "
            "'a.png', 'good': add path and label",
        ),
        (
            "\npath\tlabel\na.png\tgood\n",
            ", line 2: the header must have the columns path and label, separated by commas or semicolons, got "
            "'path\\tlabel': add path and label",
        ),
        (
            "path;class\na.png;good\n",
            ", line 1: the header must have the columns path and label, separated by commas or semicolons, got "
            "'path', 'class': add label",
        ),
        (
            "sep=;\r\npath;class\r\na.png;good\r\n",
            ", line 2: the header must have the columns path and label, separated by commas or semicolons, got "
            "'path', 'class': add label",
        ),
        ("path,label,Label\n", ", line 1: a column must be there once, and label is there twice: rename one"),
        (
            "path,label\na.png,good\nb.png,bad,dent\n",
            ", line 3: a row must have as many cells as the header, 2, got 3: put cells that hold a comma into double "
            "quotes",
        ),
        (
            "path;label\na.png\n",
            ", line 2: a row must have as many cells as the header, 2, got 1: put cells that hold a semicolon into "
            "double quotes",
        ),
        (
            'path,label\na.png,good\n"b.png,bad\n',
            ", line 3: this is no row of a CSV file (unexpected end of data): correct its quotes",
        ),
        (
            'path,label,note\na.png,good,"two\nlines"\nx.png,bad,\n',
            ", line 4: the image x.png is not a file that can be read (No such file or directory): give its path "
            "from the folder of the CSV file, or its whole path",
        ),
        (
            "path,label\nsub,bad\n",
            ", line 2: the image sub is not a file that can be read (it is a folder or a device): give its path "
            "from the folder of the CSV file, or its whole path",
        ),
        (
            "path,label\n,bad\n",
            ", line 2: the path of an image must be given, got an empty cell: fill it in",
        ),
        (
            "path,label\na.png,bad\n./sub/../a.png,bad\n",
            ", line 3: each image must be listed once, and ./sub/../a.png is in {}, line 2 too: remove one of them",
        ),
        (
            "path,label\na.png,bad\nb.png,bad\na.png,good\n",
            ", line 4: each image must be listed once, and a.png is in {}, line 2 too, with another label: remove "
            "one of them",
        ),
        (
            rows("a.png,good,b.png,"),
            ", line 2: a good image must have no mask, got b.png: correct the label or remove the mask",
        ),
        (
            rows("a.png,good,,dent"),
            ", line 2: a good image must have no type of defect, got 'dent': correct the label or empty the cell",
        ),
        (
            rows("a.png,bad,,Good"),
            ", line 2: an anomalous image must have another type of defect than 'Good': correct one of them",
        ),
        (
            rows("a.png,bad,x.png,"),
            ", line 2: the mask x.png is not a file that can be read (No such file or directory): give its path from "
            "the folder of the CSV file, or its whole path",
        ),
        (
            rows("stack.tif,bad,b.png,"),
            ", line 2: a mask must belong to one image, and stack.tif holds 3: save each page as a file, or remove "
            "the mask",
        ),
    ],
)
def test_csv_files_that_are_wrong_are_refused_with_the_line(tmp_path: Path, text: str, words: str) -> None:
    put(tmp_path, "a.png", "b.png", "sub/c.png")
    put(tmp_path, "stack.tif", data=STACK)
    path = table(tmp_path, text)
    assert refused(path) == f"{path}{words.format(path)}"


def test_hostile_paths_in_a_csv_file_have_their_sentence(tmp_path: Path) -> None:
    for text in ("x" * 5000, "null\0character", "x/" * 100):
        path = table(tmp_path, f"path,label\n{text},good\n")
        assert refused(path).startswith(f"{path}, line 2: the image {text} is not a file that can be read (")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("path,label\nPr\u00fcf.png,good\n".encode("latin-1"), 2),
        ("path,label\n".encode("utf-16"), 1),
        (encoded(noise(1, 4, 4), "PNG"), 1),
    ],
)
def test_a_csv_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path, data: bytes, line: int) -> None:
    path = put(tmp_path, "labels.csv", data=data) / "labels.csv"
    assert refused(path) == (
        f"{path}, line {line}: a CSV file must be UTF-8, and this line is not: save it as 'CSV UTF-8'"
    )


def test_a_csv_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    path = table(tmp_path, "path,label\na.png,0\n")
    size = path.stat().st_size
    assert len(find_labelled(path, limits=ReadingLimits(max_bytes=size)).images) == 1
    with pytest.raises(LabelledSetError, match=f"has more than {size - 1} bytes, the most that are read: split it"):
        find_labelled(path, limits=ReadingLimits(max_bytes=size - 1))


def test_rows_and_columns_that_a_spreadsheet_leaves_are_skipped_and_unknown_columns_noted(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    found = find_labelled(table(tmp_path, "path;label;;Camera;Time\r\na.png;good;;2;noon\r\n;;;;\r\n\r\n"))
    assert said(found) == [("a.png", False, "good")]
    assert found.notes == ("The columns Camera, Time are not used; path, label, mask, defect, session are.",)
    found = find_labelled(table(tmp_path, "path,label,defct\na.png,bad,dent\n"))
    assert found.notes == ("The column defct is not used; path, label, mask, defect, session are.",)


def test_backslashes_of_another_system_are_read_as_slashes(tmp_path: Path) -> None:
    put(tmp_path, "sub/a.png", "sub/m.png")
    found = find_labelled(table(tmp_path, "path,label,mask\nsub\\a.png,bad,sub\\m.png\n"), group_by="folder")
    assert sessions(found) == {"sub/a.png": "sub"}
    assert masks(found, tmp_path) == {"sub/a.png": "sub/m.png"}


def test_each_page_of_a_stack_in_a_csv_file_has_its_label(tmp_path: Path) -> None:
    put(tmp_path, "sub/stack.tif", data=STACK)
    found = find_labelled(table(tmp_path, "path,label,defect\nsub/stack.tif,bad,dent\n"))
    assert said(found) == [(f"sub/stack.tif#{page}", True, "dent") for page in (1, 2, 3)]
    for page, one in enumerate(found.images):
        expected = noise(5, 3, 16, 16)[page]
        assert (read_image(one.file.path, page=one.file.page)[:, :, 0] == expected).all()


def test_links_in_a_csv_file_may_meet_but_not_contradict(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    link(tmp_path / "b.png", tmp_path / "a.png")
    found = find_labelled(table(tmp_path, "path,label\na.png,good\nb.png,good\n"))
    assert found.notes == ("1 image is the same file as another by a link and counted again, the first: b.png.",)
    path = table(tmp_path, "path,label\na.png,bad\nb.png,good\n")
    assert refused(path) == (
        f"an image must be good or anomalous, and in {path} one file is both b.png (good) and a.png (anomalous): "
        "remove the wrong one"
    )


NAMES = ("a.png", "b,c.png", "d;e.png", "sub/f g.png", "\u00e4\u4e2d.png", "it's.png")
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(str.strip) | st.just("two\r\nlines")
IMAGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(LABELS)), TEXT, TEXT),
    min_size=1,
    max_size=len(NAMES),
    unique_by=lambda row: row[0],
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("pool"), *NAMES)


@settings(max_examples=60, deadline=None)
@given(
    images=IMAGES,
    delimiter=st.sampled_from(",;"),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_what_any_csv_writer_writes_is_read_back(
    pool: Path,
    images: Sequence[tuple[str, str, str, str]],
    delimiter: str,
    ending: str,
    quoting: Any,
    mark: bool,
    order: random.Random,
) -> None:
    columns = ["path", "label", "defect", "session", "remark"]
    order.shuffle(columns)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writeheader()
    expected = []
    for name, label, defect, session in images:
        is_anomalous = LABELS[label]
        kind = defect if is_anomalous and defect.casefold() != "good" else ""
        writer.writerow({"path": name, "label": label, "defect": kind, "session": session, "remark": 'says "x, y;\nz"'})
        expected.append((name, is_anomalous, (kind or "bad") if is_anomalous else "good", session or None))
    path = pool / "labels.csv"
    path.write_bytes(text.getvalue().encode("utf-8-sig" if mark else "utf-8"))
    found = find_labelled(path)
    assert [(one.name, one.is_anomalous, one.defect, one.session) for one in found.images] == expected
