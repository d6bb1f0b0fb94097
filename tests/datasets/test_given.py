import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from files import PNG, put
from hostile import noise, small_images
from onlygood.datasets.folders import look_into
from onlygood.datasets.given import find_given, paths_in_list, stands_for_several
from onlygood.datasets.sources import list_sources
from onlygood.errors import FolderError, ImageError, ImageTooLargeError, NotAllGoodError, SettingError
from onlygood.images.reading import ReadingLimits

IMAGE = noise(1, 4, 4)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return put(tmp_path, "a/1.png", "a/deep/2.png", "b/1.png", "c.png", "d/good/1.png", "d/crack/1.png")


def names(*given: str, good: str | None = None) -> list[str]:
    return [image.name for image in find_given(given[0] if len(given) == 1 else given, good=good).images]


def test_several_paths_keep_their_names_apart(here: Path) -> None:
    assert names("a") == ["1.png", "deep/2.png"]
    assert names("a", "b", "c.png") == ["a/1.png", "a/deep/2.png", "b/1.png", "c.png"]
    assert names(str(here / "b"), "c.png") == [f"{here.as_posix()}/b/1.png", "c.png"]
    assert names("c.png") == ["c.png"]
    assert [image.name for image in find_given(["a/1.png"]).images] == ["a/1.png"]


def test_patterns_match_where_no_file_has_that_name(here: Path) -> None:
    assert names("*/1.png") == ["a/1.png", "b/1.png"]
    assert names("**/2.png") == ["a/deep/2.png"]
    assert names("[ab]") == ["a/1.png", "a/deep/2.png", "b/1.png"]
    put(here, "[ab]/x.png")
    assert names("[ab]") == ["x.png"]
    with pytest.raises(FolderError, match=r"the pattern \*\.jpg must match images or folders, got no match: check it"):
        find_given("*.jpg")


def test_a_list_names_images_relative_to_its_folder(here: Path) -> None:
    (here / "lists").mkdir()
    (here / "lists" / "good.txt").write_bytes("\ufeff../a\r\n\n  ../c.png \n".encode())
    assert names("lists/good.txt") == ["../a/1.png", "../a/deep/2.png", "../c.png"]
    assert paths_in_list(b"a b.png\0c\n.png\0", "x") == ["a b.png", "c\n.png"]
    assert paths_in_list(b"latin\xe4.png", "x") == [os.fsdecode(b"latin\xe4.png")]
    (here / "none.txt").write_bytes(b"\n \n")
    with pytest.raises(FolderError, match=r"none\.txt must list at least one path, one a line, got none"):
        find_given("none.txt")
    (here / "wrong.txt").write_bytes(b"x.png\ny.png\n")
    with pytest.raises(FolderError, match=r"none of 2 paths given can be used, the first: x\.png does not exist"):
        find_given("wrong.txt")
    with pytest.raises(FolderError, match=r"good\.txt has more than 9 bytes, the most that are read: split it"):
        find_given("lists/good.txt", limits=ReadingLimits(max_bytes=9))


def test_a_pattern_or_list_of_nothing_among_several_is_an_image_that_cannot_be_read(here: Path) -> None:
    (here / "none.txt").write_bytes(b"\n")
    found = find_given(["a", "*.jpg", "none.txt", "c.png"])
    assert [image.name for image in found.images] == ["a/1.png", "a/deep/2.png", "*.jpg", "none.txt", "c.png"]
    assert [image.problem for image in found.images if image.problem] == [
        "the pattern *.jpg must match images or folders, got no match: check it",
        "none.txt must list at least one path, one a line, got none",
    ]


def test_an_image_where_a_list_is_meant_is_said_to_be_one() -> None:
    with pytest.raises(FolderError, match=r"x must list paths, one a line, got an image \(JPEG\): give its path"):
        paths_in_list(b"\xff\xd8\xff\xe0\nx", "x")


def test_a_list_that_windows_wrote_names_the_same_images(here: Path) -> None:
    lines = 'a\\1.png\r\n"b\\1.png"\r\n"c.png"\r\n'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (here / "list.txt").write_bytes(lines.encode(encoding))
        assert names("list.txt") == ["a/1.png", "b/1.png", "c.png"]
    # A file of that very name comes first, where a name may hold quotes and backslashes.
    if os.sep == "/":
        put(here, '"c.png"')
        assert names("list.txt") == ["a/1.png", "b/1.png", '"c.png"']


def test_a_list_in_another_encoding_does_not_name_folders_by_chance(here: Path) -> None:
    # Cut at its zeros, UTF-16 would name the folder / among others.
    with pytest.raises(FolderError, match=r"^x must be a list of paths in UTF-8, got what looks like UTF-16: save it"):
        paths_in_list("/a/1.png\r\n".encode("utf-16-le"), "x")
    assert paths_in_list(b"a\0b\0c\0", "x") == ["a", "b", "c"]
    with pytest.raises(FolderError, match=r"^x begins as UTF-16 and is none: save the list as UTF-8"):
        paths_in_list(b"\xff\xfea", "x")


def test_a_missing_path_among_several_is_an_image_that_cannot_be_read(here: Path) -> None:
    (here / "empty").mkdir()
    found = find_given(["a", "missing/x.png", "empty", "c.png"])
    assert [image.name for image in found.images] == ["a/1.png", "a/deep/2.png", "missing/x.png", "c.png"]
    assert found.notes == ["empty is empty: put images into it."]
    with pytest.raises(ImageError, match=r"^missing/x\.png does not exist: check the path$") as raised:
        found.images[2].read()
    assert raised.value.name == "missing/x.png"
    with pytest.raises(FolderError, match=r"^missing does not exist: check the path$"):
        find_given("missing")


def test_good_images_named_twice_are_taken_once(here: Path) -> None:
    found = find_given(["a", "a/1.png", "./a/../a/deep", "b"], good="fit")
    assert [image.name for image in found.images] == ["a/1.png", "a/deep/2.png", "b/1.png"]
    assert found.notes == ["2 images are named more than once and taken once."]
    assert len(find_given(["a", "a/1.png"]).images) == 3


def test_what_is_not_good_below_one_of_several_is_refused_and_what_is_named_is_noted(here: Path) -> None:
    with pytest.raises(NotAllGoodError, match=r"below d there is .*crack \(defects, 1 image\): give d/good"):
        find_given(["a", "d"], good="fit")
    found = find_given(["d/good", "d/crack"], good="fit")
    assert len(found.images) == 2
    assert found.notes == [
        "d/crack is called as defects or masks are, and fit takes all images there as good: leave it out if they are "
        "not."
    ]
    assert find_given("d/crack/1.png", good="fit").notes == found.notes
    assert find_given(["d/good", "d/crack"]).notes == []


# ZIP archives


def archive(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return path


def test_a_zip_archive_is_read_without_unpacking_it(tmp_path: Path) -> None:
    stack = small_images()["tiff-pages"]
    files = {"lot/b.png": PNG, "a.PNG": PNG, "stack.tif": stack, ".x.png": PNG, "__MACOSX/._a.png": PNG, "n.txt": b"x"}
    path = archive(tmp_path / "parts.zip", **files)
    found = look_into(path)
    assert [image.name for image in found.images] == ["a.PNG", "lot/b.png", "stack.tif#1", "stack.tif#2", "stack.tif#3"]
    np.testing.assert_array_equal(found.images[0].read()[:, :, 0], IMAGE)
    np.testing.assert_array_equal(found.images[3].read()[:, :, 0], noise(5, 3, 16, 16)[1])
    assert found.notes == [
        f"1 folder is left out of {path} as what a storage system keeps for itself (__MACOSX), with 1 image.",
        f"1 other file is not looked at in {path}: n.txt.",
    ]
    assert sorted(tmp_path.iterdir()) == [path]
    with_folder = find_given([str(path), str(put(tmp_path / "more", "c.png"))])
    assert [image.name for image in with_folder.images][-2:] == [
        f"{path.as_posix()}/stack.tif#3",
        f"{(tmp_path / 'more').as_posix()}/c.png",
    ]


def test_names_in_an_archive_lead_nowhere_else(tmp_path: Path) -> None:
    path = archive(tmp_path / "up.zip", **{"../../up.png": PNG, "/abs.png": PNG, "C:\\win\\x.png": PNG, "./y.png": PNG})
    assert [image.name for image in look_into(path).images] == ["C:/win/x.png", "abs.png", "up.png", "y.png"]


def test_an_archive_of_a_data_set_is_judged_as_a_folder_is(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.zip", **{"train/good/1.png": PNG, "test/crack/1.png": PNG})
    with pytest.raises(NotAllGoodError, match=r"test \(test images, 1 image\)"):
        look_into(path, good="fit")


def test_archives_that_are_wrong_are_one_sentence(tmp_path: Path) -> None:
    broken = put(tmp_path, "broken.zip", data=b"PK\3\4 not one") / "broken.zip"
    with pytest.raises(FolderError, match=r"broken\.zip must be a ZIP archive that can be read, got one that cannot"):
        look_into(broken)
    with pytest.raises(FolderError, match=r"empty\.zip is empty"):
        look_into(archive(tmp_path / "empty.zip"))
    path = archive(tmp_path / "parts.zip", **{"a.png": PNG, "bomb.png": bytes(1_000_000)})
    found = look_into(path)
    with pytest.raises(ImageTooLargeError, match=r"bomb\.png has more than 1,000 bytes in its archive"):
        found.images[1].read(ReadingLimits(max_bytes=1000))
    data = bytearray(path.read_bytes())
    at = data.index(PNG[30:40]) if PNG[30:40] in data else 45
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"^a\.png is a damaged ZIP file: it cannot be unpacked"):
        look_into(path).images[0].read()
    path.unlink()
    with pytest.raises(ImageError, match=r"^a\.png is a damaged ZIP file: it cannot be unpacked \(No such file"):
        found.images[0].read()


def test_an_encrypted_image_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "parts.zip", **{"a.png": PNG})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in its own header
    data[data.index(b"PK\1\2") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    with pytest.raises(
        ImageError, match=r"^a\.png is encrypted in its archive: unpack .*parts\.zip and give the folder"
    ):
        look_into(path).images[0].read()


# As Python gives them


def test_a_sequence_of_folders_is_searched(here: Path) -> None:
    found = list_sources(["a", Path("b")], group_by="folder", groups=None, limits=ReadingLimits())
    assert [(source.name, source.label) for source in found.sources] == [
        ("a/1.png", "a"),
        ("a/deep/2.png", "a/deep"),
        ("b/1.png", "b"),
    ]
    assert stands_for_several(["a/1.png", "b"])
    assert not stands_for_several(["a/1.png", "c.png"])
    assert not stands_for_several(["a", IMAGE])


def test_a_folder_among_images_in_memory_or_labels_is_refused(here: Path) -> None:
    for items, groups in (([IMAGE, "a"], None), (["a", "c.png"], ["x", "y"])):
        with pytest.raises(SettingError, match="must hold one image an item, got the folder a: give its images"):
            list_sources(items, group_by=None, groups=groups, limits=ReadingLimits())
