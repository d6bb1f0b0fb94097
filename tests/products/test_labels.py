"""Which images are of which product."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from onlygood.errors import FolderError, NotAllGoodError, SettingError
from onlygood.images.reading import ReadingLimits
from onlygood.products.labels import images_by_product
from textures import save, texture

COUNT = 3


def fill(folder: Path, count: int = COUNT) -> Path:
    return save(folder, {f"{number}.png": texture(number, (16, 16)) for number in range(count)})


@pytest.fixture
def line(tmp_path: Path) -> Path:
    for name in ("bolt", "nut/monday", "nut/friday"):
        (tmp_path / "line" / name).mkdir(parents=True)
        fill(tmp_path / "line" / name)
    return tmp_path / "line"


def divided(images: Any, product_by: str = "folder", **others: Any) -> dict[str, list[str]]:
    settings = {"exclude": None, "is_golden": False, "limits": ReadingLimits(), **others}
    found, _ = images_by_product(images, product_by, **settings)
    return {name: [file.name for file in files] for name, files in found.items()}


def test_of_one_folder_each_sub_folder_is_a_product_with_all_below_it(line: Path) -> None:
    assert divided(line) == {
        "bolt": ["bolt/0.png", "bolt/1.png", "bolt/2.png"],
        "nut": [f"nut/{day}/{number}.png" for day in ("friday", "monday") for number in range(COUNT)],
    }


def test_of_several_folders_each_is_a_product_by_its_last_name(line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(line)
    shutil.copytree("bolt", "../more/bolt")
    for given in (["bolt", "nut"], ["./nut/", str(line / "bolt")], ["bolt", "../more/bolt", "nut"], ["b*", "nut"]):
        found = divided(given)
        assert {name: len(files) for name, files in found.items()} == {
            "bolt": COUNT * (2 if "../more/bolt" in given else 1),
            "nut": 2 * COUNT,
        }
    assert {name: len(files) for name, files in divided("*").items()} == {"bolt": COUNT, "nut": 2 * COUNT}


def test_archives_are_as_folders(line: Path) -> None:
    for folder in ("bolt", "nut"):
        with zipfile.ZipFile(line.parent / f"{folder}.zip", "w") as archive:
            for path in (line / folder).rglob("*.png"):
                archive.write(path, path.relative_to(line))
    both = [line.parent / "bolt.zip", line.parent / "nut.zip"]
    assert {name: len(files) for name, files in divided(both).items()} == {"bolt": COUNT, "nut": 2 * COUNT}
    assert set(divided(both[0])) == {"bolt"}


def test_a_regular_expression_finds_the_product_in_each_name(line: Path) -> None:
    assert {name: len(files) for name, files in divided(line, r"(mon|fri|bolt)").items()} == {
        "bolt": COUNT,
        "fri": COUNT,
        "mon": COUNT,
    }


def test_products_that_are_written_in_two_ways_are_one(tmp_path: Path) -> None:
    for number, name in enumerate(("Gro\u0308ße", "Größe")):
        save(tmp_path / name, {f"{number}{each}.png": texture(each, (16, 16)) for each in range(2)})
    assert {name: len(files) for name, files in divided(tmp_path).items()} == {"Größe": 4}


def test_images_that_are_excluded_belong_to_no_product(line: Path) -> None:
    fill(line / "bolt", COUNT + 1)
    found, notes = images_by_product(line, "folder", exclude=("bolt/0.png",), is_golden=False, limits=ReadingLimits())
    assert [file.name for file in found["bolt"]] == ["bolt/1.png", "bolt/2.png", "bolt/3.png"]
    assert notes == ["1 image left out, as asked with exclude: bolt/0.png."]


@pytest.mark.parametrize(
    ("given", "product_by", "error", "message"),
    [
        (".", "folder", SettingError, "needs each image in a sub-folder that is called as its product, got x.png in"),
        ("bolt", "folder", SettingError, r"got 0.png in bolt itself \(3 of 3 images\)"),
        (["bolt", "x.png"], "folder", SettingError, "needs one folder of products, or a folder for each, got x.png"),
        ("list.txt", "folder", SettingError, "needs one folder of products, or a folder for each, got list.txt"),
        (["bolt", "gone"], "folder", FolderError, "gone does not exist"),
        ("gone", "folder", FolderError, "gone does not exist"),
        ("gone*", "folder", FolderError, r"the pattern gone\* must match"),
        ("bolt", "(", SettingError, r"product_by must be 'folder' or a regular expression, got '\('"),
        (
            "bolt",
            "(z)",
            SettingError,
            r"product_by must find a label in the name of every image, and '\(z\)' finds none",
        ),
        (
            "bolt",
            "[0-9]",
            FolderError,
            "each product needs at least 3 good images, got 1 of 0, 1 of 1, 1 of 2: add images",
        ),
        ([], "folder", FolderError, "images must be named by at least one path, got none"),
    ],
)
def test_what_cannot_be_divided_is_one_sentence(
    given: Any, product_by: str, error: type[Exception], message: str, line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(line)
    fill(line, 1)
    Path("0.png").rename("x.png")
    Path("list.txt").write_text("bolt\nnut\n")
    with pytest.raises(error, match=message):
        divided(given, product_by)


def test_products_with_too_few_images_are_all_named_unless_one_is_enough(line: Path) -> None:
    (line / "axle").mkdir()
    fill(line / "axle", 1)
    (line / "bolt/0.png").unlink()
    with pytest.raises(FolderError, match=r"at least 3 good images, got 1 of axle, 2 of bolt: add images, or leave"):
        divided(line)
    assert {name: len(files) for name, files in divided(line, is_golden=True).items()} == {
        "axle": 1,
        "bolt": 2,
        "nut": 6,
    }


def test_what_looks_like_defects_is_refused_as_of_any_fit(line: Path) -> None:
    (line / "bolt/scratch").mkdir()
    fill(line / "bolt/scratch")
    (line / "bolt/defects").mkdir()
    fill(line / "bolt/defects")
    with pytest.raises(NotAllGoodError):
        divided(line)


def test_a_folder_that_cannot_be_a_product_is_refused(line: Path) -> None:
    (line / "bolt").rename(line / "nearest")
    with pytest.raises(SettingError, match="got 'nearest', which stands for the nearest product"):
        divided(line)
