"""A model for each of several products: all of them, or none."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from command_line import left
from onlygood.errors import ModelFormatError, SettingError, WriteError
from onlygood.products import fitting, staging
from onlygood.products.table import TABLE, ProductTable, digest_of
from product_line import COUNT, FAST_PATCH, OPTIONS, stripes
from textures import numbered, save, textures


def test_each_product_gets_the_model_that_a_fit_of_its_images_gives(line: Path, fitted: Path) -> None:
    assert left(fitted) == ["bolt.onnx", "nut.onnx", TABLE]
    table = ProductTable.read(fitted, shown="models")
    assert [(each.number, each.name, each.file) for each in table.products] == [
        (1, "bolt", "bolt.onnx"),
        (2, "nut", "nut.onnx"),
    ]
    for each in table.products:
        content = (fitted / each.file).read_bytes()
        assert digest_of(content) == each.sha256
        alone = onlygood.fit(line / each.name, **OPTIONS)
        ours = onlygood.Inspector(fitted / each.file)
        assert ours.metadata.good_images == alone.metadata.good_images
        assert ours.metadata.settings == alone.metadata.settings
        assert ours.calibration_scores is not None
        np.testing.assert_array_equal(ours.calibration_scores.scores, alone.calibration.scores)


def test_groups_within_products_are_kept_together(tmp_path: Path) -> None:
    for product in ("bolt", "nut"):
        pairs = {
            f"{part}{shot}.png": image for part, shot, image in zip("aabbccddee", "01" * 5, textures(10), strict=True)
        }
        save(tmp_path / "line" / product, pairs)
    products = onlygood.fit_products(tmp_path / "line", tmp_path / "models", group_by="/([a-e])", **OPTIONS)
    for name in products.names:
        metadata = products.inspector(name).metadata
        assert (metadata.guarantee.groups, metadata.guarantee.calibration_images) == (5, 10)
        assert metadata.settings["group_by"] == "/([a-e])"


def test_a_mapping_gives_images_of_any_kind(tmp_path: Path) -> None:
    products = onlygood.fit_products(
        {"nut": [stripes(number) for number in range(COUNT)], "bolt": textures(COUNT)}, tmp_path / "models", **OPTIONS
    )
    assert products.names == ("bolt", "nut")
    assert products(textures(1, start=50)[0], product="bolt").product == "bolt"


def test_a_product_that_is_added_or_fitted_again_leaves_the_others_as_they_are(models: Path) -> None:
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    inode = (models / "nut.onnx").stat().st_ino
    new = {"bolt": textures(COUNT, start=100), "axle": textures(COUNT, start=200)}
    products = onlygood.fit_products(new, models, **OPTIONS)
    assert [str(each) for each in products.recipes] == ["1 (bolt)", "2 (nut)", "3 (axle)"]
    assert left(models) == ["axle.onnx", "bolt.onnx", "nut.onnx", TABLE]
    assert (models / "nut.onnx").stat().st_ino == inode
    assert (models / "nut.onnx").read_bytes() == before["nut.onnx"]
    assert (models / "bolt.onnx").read_bytes() != before["bolt.onnx"]
    for each in products.recipes:
        assert products.inspector(each.name).metadata.good_images.count == COUNT


def test_a_file_that_is_no_products_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bolt.onnx").write_bytes(b"of somebody else")
    products = onlygood.fit_products({"bolt": textures(COUNT)}, tmp_path, **OPTIONS)
    assert products.recipes[0].file == "bolt-2.onnx"
    assert (tmp_path / "bolt.onnx").read_bytes() == b"of somebody else"


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in left(folder)}


def test_where_one_product_fails_nothing_is_written_and_the_sentence_names_it(models: Path, tmp_path: Path) -> None:
    before = contents(models)
    bad = {"axle": textures(COUNT), "nut": [np.zeros((96, 96), np.uint8)] * COUNT}
    for folder in (models, tmp_path / "new"):
        with pytest.raises(
            onlygood.OnlygoodError, match=r"the product nut cannot be fitted, so nothing is written: .* images"
        ):
            onlygood.fit_products(bad, folder, **OPTIONS)
    assert contents(models) == before
    assert not (tmp_path / "new").exists()
    assert not [path for path in models.iterdir() if path.is_dir()]


@pytest.mark.parametrize("at", range(1, 7))  # two models, one moved aside, two into their places, the table
def test_where_a_file_cannot_be_put_in_its_place_all_is_as_before(
    at: int, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace = contents(models), os.replace
    calls = []

    def failing(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == at:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(staging.os, "replace", failing)
    images = {"bolt": textures(COUNT, start=100), "axle": textures(COUNT, start=200)}
    with pytest.raises(WriteError, match=r"cannot be written( into)?: no space left on device"):
        onlygood.fit_products(images, models, **OPTIONS)
    assert len(calls) >= at
    assert contents(models) == before


def test_where_the_table_cannot_be_written_the_models_are_as_before(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(models)

    def refuse(*_: object) -> None:
        raise WriteError("the table cannot be written")

    monkeypatch.setattr(ProductTable, "write", refuse)
    with pytest.raises(WriteError, match="the table cannot be written"):
        onlygood.fit_products({"bolt": textures(COUNT, start=100)}, models, **OPTIONS)
    assert contents(models) == before


def test_a_set_that_another_process_changes_meanwhile_is_left_as_that_one_wrote_it(models: Path) -> None:
    table = ProductTable.read(models, shown="models")

    def change(*_: object) -> None:
        table.without(table.products[1]).write(models)

    with pytest.raises(WriteError, match=r"products.json must stay as it is while products are fitted, got another"):
        fitting.fit_each({"axle": textures(COUNT)}, models, product_by=None, options=OPTIONS, then=change)
    assert left(models) == ["bolt.onnx", "nut.onnx", TABLE]
    assert ProductTable.read(models, shown="models") == table.without(table.products[1])


def test_what_an_interrupted_fit_left_is_removed_when_nobody_can_be_at_it(models: Path) -> None:
    old, young = models / ".fitting-0123abcd", models / ".fitting-00000000"
    for folder in (old, young):
        folder.mkdir()
        (folder / "0.onnx").write_bytes(b"half")
    os.utime(old, (0, 0))
    onlygood.fit_products({"axle": textures(COUNT)}, models, **OPTIONS)
    assert not old.exists()
    assert young.exists()


def test_a_damaged_table_is_not_written_over(models: Path) -> None:
    (models / TABLE).write_text("{}")
    before = contents(models)
    with pytest.raises(ModelFormatError, match="must have a format number"):
        onlygood.fit_products({"axle": textures(COUNT)}, models, **OPTIONS)
    assert contents(models) == before


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ("line", {"checkpoint": "x"}, "checkpoint is of one model, got it for several products"),
        ("line", {"resume": True}, "resume is of one model, got it for several products"),
        (
            "line",
            {"groups": ["a"]},
            "groups goes with a sequence of images, got paths of several products: use group_by",
        ),
        ("line", {"false_alarm_rate": 2.0}, "false_alarm_rate must be between 0 and 1"),
        ("line", {"false_alarm": 0.1}, "a keyword of fit must be one of .*, got false_alarm"),
        ("line", {"exclude": ["gone.png"]}, "exclude must name good images that are there, got 'gone.png'"),
        ({}, {}, "a mapping of products must have at least one, got an empty one"),
        ({3: []}, {}, "the name of a product must be text, got 3"),
        ({"nearest": []}, {}, "the name of a product must be text of at most 200 letters other than 'nearest'"),
        (
            {"Größe": [], "Gro\u0308ße": []},
            {},
            "the names of products must differ, got two that are written in two ways",
        ),
        ({"a": []}, {"product_by": "folder"}, "product_by goes with paths, got it with a mapping of products"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(
    images: Any, options: dict[str, Any], message: str, line: Path, tmp_path: Path
) -> None:
    given = line if images == "line" else images
    with pytest.raises(SettingError, match=message):
        onlygood.fit_products(given, tmp_path / "models", **{"method": FAST_PATCH, **options})
    assert left(tmp_path) == []


def test_folders_that_cannot_be_a_set_are_one_sentence(line: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder, message in (
        (tmp_path / "file", "a set of products must be a folder, got the file"),
        (tmp_path / "no/such", "there is no folder .*no: make it first"),
        ("", "a path must not be empty"),
    ):
        with pytest.raises(WriteError, match=message):
            onlygood.fit_products(line, folder, **OPTIONS)


def test_images_to_leave_out_may_be_of_one_product(line: Path, tmp_path: Path) -> None:
    products = onlygood.fit_products(line, tmp_path / "models", exclude=["bolt/00.png"], **OPTIONS)
    assert [products.inspector(name).metadata.good_images.count for name in products.names] == [COUNT - 1, COUNT]


def test_a_set_of_one_product_is_one(tmp_path: Path) -> None:
    save(tmp_path / "line/bolt", numbered(textures(COUNT)))
    products = onlygood.fit_products(tmp_path / "line", tmp_path / "models", product_by="folder", **OPTIONS)
    assert products.names == ("bolt",)
    assert products(textures(1, start=9)[0]).recipe == 1
