from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import ImageDraw

from onlygood.augmentation.changes import Change
from onlygood.augmentation.drawing import augment, draw_change
from onlygood.augmentation.kinds import kinds_of_change, strongest_changes
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import FolderError, SettingError
from onlygood.report.contact_sheet import GOLDEN_BOX, MARGIN, WIDTH, contact_sheet
from textures import Array, as_colour, texture, twelve_bit

DEFAULTS = AugmentationSettings()
NONE = AugmentationSettings(brightness=0, contrast=0, gamma=0, noise=0, blur=0, jpeg=0, shift=0, rotation=0, scale=0)
ALL = AugmentationSettings(flip_horizontal=True, flip_vertical=True)
Text = tuple[str, tuple[float, float, float, float]]


class Texts:
    """What was written, on which part of the sheet and where."""

    def __init__(self) -> None:
        self.by_section: dict[int, list[Text]] = defaultdict(list)
        self.kept: list[ImageDraw.ImageDraw] = []  # so that no id comes twice

    @property
    def all(self) -> list[str]:
        return [text for texts in self.by_section.values() for text, _ in texts]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Texts]:
    seen, write = Texts(), ImageDraw.ImageDraw.text

    def spy(draw: ImageDraw.ImageDraw, xy: Any, text: str, **how: Any) -> None:
        seen.kept.append(draw)
        seen.by_section[id(draw)].append((text, draw.textbbox(xy, text, font=how["font"])))
        write(draw, xy, text, **how)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    yield seen


def grey(size: tuple[int, int] = (48, 64), seed: int = 0) -> Array:
    return texture(seed, size)[:, :, None]


def find(sheet: Array, part: Array) -> list[tuple[int, int]]:
    """Where a part is in the sheet, to the pixel: (row, column)."""
    h, w = part.shape[:2]
    corners = np.argwhere((sheet[: len(sheet) - h + 1, : sheet.shape[1] - w + 1] == part[0, 0]).all(axis=2))
    return [(y, x) for y, x in corners.tolist() if np.array_equal(sheet[y : y + h, x : x + w], part)]


# Words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(brightness=0.06), ["brighter 6 %"]),
        (Change(brightness=-0.0314), ["darker 3.1 %"]),
        (Change(contrast=1.04), ["contrast +4 %"]),
        (Change(contrast=0.9), ["contrast -10 %"]),
        (Change(gamma=0.953), ["gamma 0.95"]),
        (Change(noise=0.0042), ["noise 0.42 %"]),
        (Change(blur=0.35), ["blur 0.35 px"]),
        (Change(jpeg=82), ["JPEG 82"]),
        (Change(shift_x=0.01, shift_y=-0.004), ["right 6.4, up 1.9 px"]),
        (Change(shift_x=-0.1, shift_y=0.1), ["left 64, down 48 px"]),
        (Change(rotation=0.72), ["turned right 0.72°"]),
        (Change(rotation=-12.3), ["turned left 12°"]),
        (Change(scale=1.005), ["larger 0.5 %"]),
        (Change(scale=0.99), ["smaller 1 %"]),
        (Change(flip_horizontal=True), ["mirrored left-right"]),
        (Change(flip_vertical=True), ["mirrored top-bottom"]),
        (Change(flip_horizontal=True, flip_vertical=True), ["mirrored both ways"]),
        (Change(), []),
    ],
)
def test_every_change_has_its_words(change: Change, words: list[str]) -> None:
    assert strongest_changes(change, ALL, 640, 480) == words


def test_the_three_changes_that_use_most_of_their_range_are_named_and_mirroring_always() -> None:
    change = Change(brightness=0.05, contrast=1.02, blur=0.63, rotation=-0.8, jpeg=100)
    assert strongest_changes(change, DEFAULTS, 10, 10) == ["blur 0.63 px", "turned left 0.8°", "brighter 5 %"]
    mirrored = Change(brightness=0.05, contrast=1.02, blur=0.63, rotation=-0.8, flip_vertical=True)
    assert strongest_changes(mirrored, ALL, 10, 10) == ["mirrored top-bottom", "blur 0.63 px", "turned left 0.8°"]


def test_every_kind_says_what_is_allowed() -> None:
    assert {kind.name: kind.allowed for kind in kinds_of_change(ALL, 640, 480)} == {
        "brightness": "10 % darker to 10 % brighter, of black to white",
        "contrast": "-10 % to +10 %",
        "gamma": "0.90 to 1.10",
        "shift": "up to 6.4 pixels left or right, 4.8 up or down",
        "rotation": "1° left to 1° right",
        "scale": "1 % smaller to 1 % larger",
        "blur": "up to 0.7 pixels",
        "sensor noise": "up to 1 % of black to white",
        "JPEG": "quality 100 down to 75",
        "mirroring": "left-right in half of them, top-bottom in half of them",
    }
    assert {(kind.allowed, kind.ends) for kind in kinds_of_change(NONE, 640, 480)} == {("never", ())}


def test_the_ends_of_every_kind_are_the_ends_of_its_range() -> None:
    ends = {kind.name: [change for _, change in kind.ends] for kind in kinds_of_change(ALL, 640, 480)}
    none = Change()
    assert ends == {
        "brightness": [Change(brightness=-0.1), none, Change(brightness=0.1)],
        "contrast": [Change(contrast=0.9), none, Change(contrast=1.1)],
        "gamma": [Change(gamma=0.9), none, Change(gamma=1.1)],
        "shift": [Change(shift_x=-0.01, shift_y=-0.01), none, Change(shift_x=0.01, shift_y=0.01)],
        "rotation": [Change(rotation=-1.0), none, Change(rotation=1.0)],
        "scale": [Change(scale=0.99), none, Change(scale=1.01)],
        "blur": [none, Change(blur=0.35), Change(blur=0.7)],
        "sensor noise": [none, Change(noise=0.005), Change(noise=0.01)],
        "JPEG": [none, Change(jpeg=87), Change(jpeg=75)],
        "mirroring": [none, Change(flip_horizontal=True), Change(flip_vertical=True)],
    }


# The sheet


def test_the_sheet_says_what_is_learned_and_what_is_allowed(texts: Texts) -> None:
    sheet = contact_sheet([grey()], 200, DEFAULTS, seed=4, shown=3, name="golden.png")
    assert (sheet.mode, sheet.width) == ("RGB", WIDTH)
    assert texts.all[:4] == [
        "What this model will call good",
        "Told as good: 1 image and 199 augmentations of it (seed 4).",
        "Whatever differs by more than these ranges, or in another way, is meant to stand out.",
        "golden.png: 64 x 48 pixels, 8 bits, grey",
    ]
    for kind in kinds_of_change(DEFAULTS, 64, 48):
        assert texts.all[texts.all.index(kind.name) + 1] == kind.allowed
        for words, _ in kind.ends:
            assert words in texts.all
    assert texts.all[texts.all.index("at the border") + 1] == "the image mirrored"
    assert "3 of 199 augmentations, as a fit makes them" in texts.all


def test_every_augmentation_is_named_for_what_was_done_to_it(texts: Texts) -> None:
    contact_sheet([grey()], 9, ALL, seed=2)
    for number in range(1, 9):
        words = strongest_changes(draw_change(ALL, seed=2, number=number), ALL, 64, 48)
        first = texts.all.index(f"{number}: {words[0]}")
        assert texts.all[first + 1 : first + 3] == words[1:]
    assert "8 augmentations, as a fit makes them" in texts.all


@pytest.mark.parametrize("size", [(48, 64), (64, 20), (20, 90), (1, 200), (200, 1), (1, 1), (300, 300), (900, 1300)])
def test_no_text_runs_into_another_or_off_the_sheet(texts: Texts, size: tuple[int, int]) -> None:
    name = "a name that is far too long for the room below the image " * 3 + ".png"
    contact_sheet([grey(size), grey((30, 30))], 12, ALL, seed=1, name=name, shown=10)
    assert len(texts.all) > 60
    for drawn in texts.by_section.values():
        for number, (text, (left, top, right, bottom)) in enumerate(drawn):
            assert left >= MARGIN - 1 and right <= WIDTH - MARGIN, text  # a t may reach one pixel to the left
            for other, (left_2, top_2, right_2, bottom_2) in drawn[:number]:
                apart = right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top
                assert apart, (text, other)


def test_the_golden_image_is_shown_as_it_is() -> None:
    image = as_colour(texture(3, (GOLDEN_BOX[1], GOLDEN_BOX[0])))
    image[:, :, 1] //= 2
    sheet = np.asarray(contact_sheet([image], 1, NONE, seed=0))
    places = find(sheet, image[1:-1, 1:-1])
    assert [column for _, column in places] == [MARGIN + 1]


def test_the_grid_shows_the_augmentations_themselves(texts: Texts) -> None:
    # Of one level, and brightened alone, each augmentation is of one level: so is its tile.
    image = np.full((40, 40, 1), 120, np.uint8)
    only = AugmentationSettings(**{**NONE.to_dict(), "brightness": 0.3})
    sheet = np.asarray(contact_sheet([image], 11, only, seed=0))
    grid = list(texts.by_section.values())[-1]
    top_of_grid = len(sheet) - MARGIN - texts.kept[-1].im.size[1]
    levels = []
    for text, (left, top, _, _) in grid:
        number = int(text.split(":")[0])
        expected = augment(image, only, seed=0, number=number)[0, 0, 0]
        tile = sheet[top_of_grid + int(top) - 60, int(left) + 20]
        assert tile.tolist() == [expected] * 3, text
        levels.append(int(expected))
    assert len(levels) == 10 and len(set(levels)) > 5


def test_the_grid_is_bounded_and_can_be_left_out(texts: Texts) -> None:
    heights = [contact_sheet([grey()], 300, DEFAULTS, seed=0, shown=shown).height for shown in (48, 5, 0)]
    assert heights[0] > heights[1] > heights[2]
    numbered = [text for text in texts.all if text.split(":")[0].isdigit()]
    assert len(numbered) == 48 + 5
    assert texts.all.count("48 of 299 augmentations, as a fit makes them") == 1


def test_several_images_are_shown_as_they_are_the_first_large(texts: Texts) -> None:
    images = [grey(seed=seed) for seed in range(12)]
    contact_sheet(images, 14, DEFAULTS, seed=0)
    assert "Told as good: 12 images and 2 augmentations of them (seed 0)." in texts.all
    assert "The other images (8 of 11), as they are" in texts.all
    texts.by_section.clear()
    contact_sheet(images[:3], 3, DEFAULTS, seed=0)
    assert "Told as good: 3 images (seed 0)." in texts.all
    assert "The other images, as they are" in texts.all
    assert not any("augmentation" in text for text in texts.all)


def test_where_nothing_is_allowed_there_are_no_limits_to_show(texts: Texts) -> None:
    contact_sheet([grey()], 2, NONE, seed=0)
    assert texts.all.count("never") == 10
    assert not any(text.startswith("The limits") for text in texts.all)
    assert texts.all[-1] == "1: as given"


@pytest.mark.parametrize(
    ("border", "level", "words"),
    [
        ("mirror", None, "the image mirrored"),
        ("edge", None, "its outermost pixels repeated"),
        ("constant", None, "the median level of its outermost pixels"),
        ("constant", 12.5, "level 12.5"),
    ],
)
def test_what_comes_into_view_is_said(texts: Texts, border: str, level: float | None, words: str) -> None:
    settings = AugmentationSettings(border=border, border_level=level)
    contact_sheet([grey()], 1, settings, seed=0)
    assert texts.all[texts.all.index("at the border") + 1] == words


def test_sixteen_bit_images_are_shown_through_their_window(texts: Texts) -> None:
    image = twelve_bit(0)[:, :, None]
    shown = np.asarray(contact_sheet([image], 1, NONE, seed=0))
    assert "golden image: 96 x 96 pixels, 16 bits, grey" in texts.all
    side = GOLDEN_BOX[1]
    top = int(np.argwhere((shown[:, MARGIN + 2] < 200).all(axis=1))[0, 0])
    levels = shown[top + 3 : top + side - 6, MARGIN + 3 : MARGIN + side - 6, 0]
    assert levels.min() < 60 and levels.max() > 190


def test_the_same_sheet_comes_twice() -> None:
    once, again = (contact_sheet([grey()], 6, ALL, seed=1) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(once), np.asarray(again))


def test_names_beyond_the_font_are_written_as_far_as_it_goes(texts: Texts) -> None:
    contact_sheet([grey()], 1, NONE, seed=0, name="Prüfstück 深\n°.png")
    assert "Prufstuck ??°.png: 64 x 48 pixels, 8 bits, grey" in texts.all


def test_a_far_move_is_shown_on_the_whole_image_and_a_small_one_on_a_detail(texts: Texts) -> None:
    far = AugmentationSettings(shift=0.3, rotation=90, scale=0.4)
    contact_sheet([grey()], 1, far, seed=0)
    assert {"Shift", "Rotation", "Scale"} <= set(texts.all)
    texts.by_section.clear()
    contact_sheet([grey()], 1, DEFAULTS, seed=0)
    for name in ("Shift", "Rotation", "Scale"):
        assert f"{name} (detail: a quarter of each side, away from the middle)" in texts.all


@pytest.mark.parametrize("size", [(400, 500), (1500, 2100)])
def test_a_detail_is_taken_where_there_is_something_to_see(size: tuple[int, int]) -> None:
    # A plain image with one patch of noise in its lower right; every detail shows some of it.
    image = np.full((*size, 1), 200, np.uint8)
    patch = (slice(-90, -40), slice(-90, -40))
    image[patch] = np.random.default_rng(0).integers(0, 120, (50, 50, 1))
    noise = AugmentationSettings(**{**NONE.to_dict(), "blur": 0.1})
    shift = AugmentationSettings(**{**NONE.to_dict(), "shift": 0.001})
    flat = np.full_like(image, 200)
    for settings in (noise, shift):
        with_patch, without = (
            np.asarray(contact_sheet([each], 1, settings, seed=0, shown=0))[-150:, :, 0].astype(int)
            for each in (image, flat)
        )
        assert (np.abs(with_patch - without) > 40).sum() > 500


@pytest.mark.parametrize("shown", [-1, 1001, 3.0, "3", None, True])
def test_a_number_to_show_is_bounded(shown: Any) -> None:
    with pytest.raises(SettingError) as caught:
        contact_sheet([grey()], 10, DEFAULTS, seed=0, shown=shown)
    assert str(caught.value) == f"the augmentations shown must be a whole number from 0 to 1000, got {shown!r}"


def test_no_images_are_refused() -> None:
    with pytest.raises(FolderError, match=r"^augmentation needs at least one good image, got none"):
        contact_sheet([], 10, DEFAULTS, seed=0)
