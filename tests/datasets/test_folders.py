import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from files import put
from hostile import noise, small_images, tiff, tiff_tags
from onlygood.datasets.folders import EXTENSIONS, ImageFile, find_images, group_labels, look_into
from onlygood.errors import FolderError, ImageError, SettingError
from onlygood.images.reading import ReadingLimits, read_image


def names(root: Path) -> list[str]:
    return [image.name for image in find_images(root)]


def test_images_come_sorted_by_relative_path(tmp_path: Path) -> None:
    put(tmp_path, "b.png", "a10.png", "a2.png", "B.png", "sub/a.png", "sub.png", "sub/deep/z.png", "\u00e4.png")
    found = find_images(tmp_path)
    assert [one.name for one in found] == sorted(one.name for one in found)
    assert names(tmp_path) == [
        *("B.png", "a10.png", "a2.png", "b.png"),
        *("sub.png", "sub/a.png", "sub/deep/z.png", "\u00e4.png"),
    ]
    assert [one.path for one in found] == [tmp_path / one.relative for one in found]
    assert find_images(str(tmp_path)) == found


def test_extensions_decide_and_their_case_does_not(tmp_path: Path) -> None:
    put(tmp_path, *(f"a{extension}" for extension in EXTENSIONS), "b.PNG", "c.Jpg")
    put(tmp_path, "d.mkv", "e.txt", "png", "f.png.bak", "Thumbs.db", data=b"x")
    assert names(tmp_path) == sorted([*(f"a{extension}" for extension in EXTENSIONS), "b.PNG", "c.Jpg"])


def test_hidden_files_and_folders_are_skipped_but_the_folder_itself_may_be_hidden(tmp_path: Path) -> None:
    root = put(tmp_path / ".hidden", "a.png", "._a.png", ".b.png", ".cache/c.png", "__MACOSX/a.png", "sub/.d.png")
    assert names(root) == ["a.png"]


def test_each_page_of_a_tiff_is_listed(tmp_path: Path) -> None:
    put(tmp_path, "lot/stack.tif", data=small_images()["tiff-pages"])
    put(tmp_path, "one.TIFF", data=small_images()["tiff-grey"])
    found = find_images(tmp_path)
    assert [one.name for one in found] == ["lot/stack.tif#1", "lot/stack.tif#2", "lot/stack.tif#3", "one.TIFF"]
    assert [(one.page, one.pages) for one in found] == [(0, 3), (1, 3), (2, 3), (0, 1)]
    for index, one in enumerate(found[:3]):
        np.testing.assert_array_equal(read_image(one.path, page=one.page)[:, :, 0], noise(5, 3, 16, 16)[index])


def test_a_page_that_is_a_thumbnail_is_not_listed(tmp_path: Path) -> None:
    small = tiff_tags(2, 2, bytes(4), t254=1)
    put(tmp_path, "a.tif", data=tiff([small, tiff_tags(4, 4, bytes(16))]))
    (found,) = find_images(tmp_path)
    assert (found.name, found.page) == ("a.tif", 1)
    assert read_image(found.path, page=found.page).shape == (4, 4, 1)


@pytest.mark.parametrize("data", [b"", b"II*\0", b"II*\0\xff\xff\xff\x7f", small_images()["tiff-pages"][:-100]])
def test_a_tiff_that_cannot_be_read_is_listed_once_and_reading_reports_it(tmp_path: Path, data: bytes) -> None:
    put(tmp_path, "a.tif", data=data)
    (found,) = find_images(tmp_path)
    assert found.name == "a.tif"
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_image(found.path, page=found.page)


def test_a_tiff_with_too_many_pages_is_listed_once_and_reading_reports_it(tmp_path: Path) -> None:
    put(tmp_path, "a.tif", data=small_images()["tiff-pages"])
    limits = ReadingLimits(max_pages=2)
    (found,) = find_images(tmp_path, limits=limits)
    with pytest.raises(ImageError, match="more than 2 pages"):
        read_image(found.path, page=found.page, limits=limits)


def test_a_stack_under_another_extension_is_not_cut_to_its_first_page(tmp_path: Path) -> None:
    put(tmp_path, "a.png", data=small_images()["tiff-pages"])
    (found,) = find_images(tmp_path)
    with pytest.raises(ImageError, match="holds 3 images"):
        read_image(found.path, page=found.page)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    root = put(tmp_path / "root", "a/1.png", "z/2.png")
    outside = put(tmp_path / "outside", "3.png")
    try:
        (root / "a" / "up").symlink_to(root, target_is_directory=True)
        (root / "a" / "to_z").symlink_to(root / "z", target_is_directory=True)
        (root / "z" / "to_a").symlink_to(root / "a", target_is_directory=True)
        (root / "out").symlink_to(outside, target_is_directory=True)
        (root / "again").symlink_to(outside, target_is_directory=True)
        (root / "4.png").symlink_to(outside / "3.png")
        (root / "itself.png").symlink_to(root / "itself.png")
        (root / "nowhere.png").symlink_to(root / "missing.png")
    except OSError:
        pytest.skip("links may not be made here")
    assert names(root) == ["4.png", "a/1.png", "again/3.png", "itself.png", "nowhere.png", "z/2.png"]
    with pytest.raises(ImageError, match="does not exist"):
        read_image(root / "nowhere.png")
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(root / "itself.png")


def test_folders_without_images_have_their_sentences(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "sub").mkdir(parents=True)
    other = put(tmp_path / "other", "a.txt", "sub/b.mkv", data=b"x")
    one = put(tmp_path / "one", "a.txt", data=b"x")
    for folder, words in (
        (tmp_path / "missing", "missing does not exist: check the path"),
        (empty, "empty is empty: put images into it"),
        (other, r"other holds 2 other files but no images: .*b\.mkv is a video .* files that end in \.avif, .*\.webp"),
        (one, "one holds 1 other file but no images"),
        (Path("null\0character"), "cannot be opened"),
    ):
        with pytest.raises(FolderError, match=words):
            find_images(folder)


def test_a_file_is_refused_unless_allowed(tmp_path: Path) -> None:
    path = put(tmp_path, "a.png") / "a.png"
    with pytest.raises(FolderError, match=r"a\.png is a file where a folder of images is meant: give its folder"):
        find_images(path)
    assert find_images(path, allow_file=True) == [ImageFile(path, "a.png")]
    stack = put(tmp_path, "stack.bin", data=small_images()["tiff-pages"]) / "stack.bin"
    assert [one.name for one in find_images(stack, allow_file=True)] == [f"stack.bin#{page}" for page in (1, 2, 3)]


@pytest.mark.parametrize("place", ["", "sub"])
def test_a_folder_that_may_not_be_listed_is_an_error_and_not_skipped(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.png", "sub/b.png")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path) == tmp_path / place:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FolderError, match=r"cannot be listed \(Permission denied\): change its permissions") as raised:
        find_images(tmp_path)
    assert str(raised.value).startswith(f"{place} in {tmp_path} " if place else f"{tmp_path} ")


def listed(*relative: str) -> list[ImageFile]:
    return [ImageFile(Path(one), one) for one in relative]


def test_without_grouping_each_image_is_its_own_group() -> None:
    pages = [ImageFile(Path("s.tif"), "s.tif", page, 2) for page in (0, 1)]
    assert group_labels(listed("a.png", "b/a.png") + pages, None) == ["a.png", "b/a.png", "s.tif#1", "s.tif#2"]
    assert group_labels([], None) == []


def test_images_group_by_folder() -> None:
    assert group_labels(listed("a.png", "b/a.png", "b/c.png", "b/d/a.png"), "folder") == [".", "b", "b", "b/d"]


def test_images_group_by_what_a_pattern_finds() -> None:
    images = listed("lot7/a_s1.png", "lot8/b_s1.png", "lot8/c_s2.png")
    assert group_labels(images, r"lot(\d+)") == ["7", "8", "8"]
    assert group_labels(images, r"_s\d") == ["_s1", "_s1", "_s2"]
    assert group_labels(images, r"(lot\d).*_(s\d)") == ["lot7", "lot8", "lot8"]
    pages = [ImageFile(Path("s.tif"), "s.tif", page, 2) for page in (0, 1)]
    assert group_labels(pages, "^[^#]*") == ["s.tif", "s.tif"]


def test_a_pattern_must_be_one() -> None:
    with pytest.raises(SettingError, match=r"must be 'folder' or a regular expression, got 'lot\(', which is not one"):
        group_labels(listed("a.png"), "lot(")


@pytest.mark.parametrize("pattern", [r"lot\d", r"(lot\d)?", r"lot(x?)\d", r"x*$"])
def test_a_pattern_must_label_every_image(pattern: str) -> None:
    images = listed("lot7/a.png", "b.png", "c.png") if pattern != r"lot(x?)\d" else listed("lotx1", "b.png", "c.png")
    count = 3 if pattern == r"x*$" else 2
    first = "lot7/a.png" if count == 3 else "b.png"
    with pytest.raises(SettingError, match=rf"finds none in '{first}' \({count} of 3 images\)"):
        group_labels(images, pattern)


def test_files_that_are_passed_over_are_named_in_a_note(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "B.JPG", ".hidden")
    put(tmp_path, "labels.csv", "lot/noext", data=b"text")
    assert look_into(tmp_path).notes == [
        f"2 other files are not looked at in {tmp_path}: labels.csv, lot/noext.",
    ]
    assert look_into(tmp_path / "a.png", allow_file=True).notes == []


def test_files_that_look_like_images_and_are_not_read_are_named_as_what_they_are(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "defects/1.psd", "defects/2.psd", "line.mkv")
    put(tmp_path, "a.txt", data=b"text")
    looks, other = look_into(tmp_path).notes
    assert looks.startswith(
        f"3 files in {tmp_path} look like images and are not read: defects/1.psd is a Photoshop document"
    )
    assert "(1 more .psd); line.mkv is a video (Matroska), which is not read: save its frames" in looks
    assert other == f"1 other file is not looked at in {tmp_path}: a.txt."


def test_images_whose_names_do_not_say_so_are_named(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    put(tmp_path, "a.txt", data=b"text")
    put(tmp_path, "IM0001", data=b"\xff\xd8\xff\xe0" + bytes(20))
    put(tmp_path, "x.bin", data=b"II*\0" + bytes(20))
    others = 1
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # which nobody writes into: to read it would never end
        others = 2
    misnamed, plain = look_into(tmp_path).notes
    assert misnamed == (
        f"Images by their first bytes, but not by the endings of their names, are left out of {tmp_path}: IM0001 "
        "(JPEG), x.bin (TIFF); rename them, or give them by their own paths."
    )
    assert plain.startswith(f"{others} other file")
    assert "a.txt" in plain
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("b.png", b"")
        archive.writestr("c.raw.old", b"GIF89a")
    (zipped,) = look_into(tmp_path / "z.zip", allow_file=True).notes
    assert "c.raw.old (GIF); rename them" in zipped


SERVICE = ("@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", ".thumbnails", "System Volume Information")


def test_what_a_storage_system_keeps_for_itself_is_left_out_and_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "lot1/b.png", *(f"{folder}/a.png/SYNOPHOTO_M.jpg" for folder in SERVICE))
    put(tmp_path, "lot1/@eaDir/b.png/SYNOPHOTO_M.jpg")
    found = look_into(tmp_path)
    assert [one.name for one in found.images] == ["a.png", "lot1/b.png"]
    (note,) = found.notes
    assert note.startswith(f"7 folders are left out of {tmp_path} as what a storage system keeps for itself (")
    assert note.endswith("), with 7 images.")


def test_a_service_folder_that_may_not_be_listed_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.png", "lost+found/b.png")
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = look_into(tmp_path)
    assert [one.name for one in found.images] == ["a.png"]
    assert found.notes == [
        f"1 folder is left out of {tmp_path} as what a storage system keeps for itself (lost+found)."
    ]


def test_masks_are_no_images_by_their_folder_or_beside_their_image(tmp_path: Path) -> None:
    put(tmp_path, "test/crack/1.png", "ground_truth/crack/1_mask.png", "Masks/2.png", "x/3.jpg", "x/3_GT.png")
    found = look_into(tmp_path)
    assert [one.name for one in found.images] == ["test/crack/1.png", "x/3.jpg"]
    assert found.notes == [
        f"3 images are left out of {tmp_path} as masks, by the names: Masks/2.png, ground_truth/crack/1_mask.png, "
        "x/3_GT.png; to use them as images, give their folder itself."
    ]
    assert names(tmp_path / "ground_truth") == ["crack/1_mask.png"]
    with pytest.raises(
        FolderError, match=r"must hold images, got 1 mask alone \(ground_truth/crack/1_mask\.png\): give"
    ):
        look_into(put(tmp_path / "alone", "ground_truth/crack/1_mask.png"))


def test_an_empty_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(put(tmp_path, "a.png"))
    with pytest.raises(SettingError, match="a path must not be empty, got '': give a file or a folder"):
        find_images("")
