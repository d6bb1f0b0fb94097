"""The order of images by their names."""

from onlygood.datasets.sources import ranks_of


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
