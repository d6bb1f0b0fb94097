"""The order of images by their names, and groups of images that were found in a folder."""

from pathlib import Path

import pytest

from onlygood.datasets.given import find_given
from onlygood.datasets.sources import list_sources, ranks_of
from onlygood.errors import SettingError
from onlygood.images.reading import ReadingLimits
from textures import save, texture


def by_rank(names: list[str]) -> list[str]:
    return [name for _, name in sorted(zip(ranks_of(names), names, strict=True))]


def test_numbers_count_by_their_value_and_other_parts_by_their_letters() -> None:
    expected = ["2.png", "10.png", "a/frame_9.png", "a/frame_10.png", "a/frame_10_2.png", "a/frame_010_10.png", "b.png"]
    assert by_rank(expected[::-1]) == expected


def test_numbers_of_equal_value_keep_their_order() -> None:
    assert ranks_of(["007.png", "7.png", "07.png"]) == [0, 1, 2]


def test_a_number_may_have_more_digits_than_python_reads() -> None:
    long = "9" * 5000
    assert by_rank([f"{long}1.png", f"{long}0.png", "1.png"]) == ["1.png", f"{long}0.png", f"{long}1.png"]


def test_images_that_were_found_in_a_folder_are_grouped_as_the_folder_is(tmp_path: Path) -> None:
    save(tmp_path, {f"{lot}/{number}.png": texture(number, (16, 16)) for lot in "ab" for number in range(3)})
    files = find_given(tmp_path).images
    for group_by in ("folder", r"(\d)\.png", None):
        of_folder = list_sources(tmp_path, group_by=group_by, groups=None, limits=ReadingLimits()).sources
        found = list_sources(files, group_by=group_by, groups=None, limits=ReadingLimits()).sources
        assert [each.name for each in found] == [each.name for each in of_folder]
        same = [[one.label == other.label for other in of_folder] for one in of_folder]
        assert [[one.label == other.label for other in found] for one in found] == same
    mixed = [*files, texture(0, (16, 16))]
    with pytest.raises(SettingError, match="group_by needs paths, got a sequence with others and group_by='folder'"):
        list_sources(mixed, group_by="folder", groups=None, limits=ReadingLimits())
