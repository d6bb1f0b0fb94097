"""A set of products, opened: by a name, a number, or the nearest."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onlygood
from onlygood.errors import ImageError, ImageFormatError, ModelFileError, ModelFormatError, SettingError
from onlygood.products.table import TABLE, ProductTable
from product_line import COUNT, OPTIONS, stripes
from textures import save, texture, textures, twelve_bit, with_defect


def test_a_name_and_its_number_ask_the_model_of_that_product(models: Path) -> None:
    products = onlygood.Products(models)
    assert products.names == ("bolt", "nut")
    image = texture(500)
    for name, number in (("bolt", 1), ("nut", 2)):
        alone = onlygood.Inspector(models / f"{name}.onnx")(image)
        for product in (name, number, str(number), np.int64(number)):
            found = products(image, product=product)
            assert (found.product, found.recipe, found.nearest, found.second) == (name, number, (), None)
            assert (found.score, found.p_value, found.is_anomaly) == (alone.score, alone.p_value, alone.is_anomaly)
            assert found.anomaly_map is not None
            assert alone.anomaly_map is not None
            np.testing.assert_array_equal(found.anomaly_map, alone.anomaly_map)


def test_the_nearest_is_the_product_of_the_lowest_score_and_says_what_that_one_says(models: Path) -> None:
    products = onlygood.Products(models)
    for image, name, other in ((texture(501), "bolt", "nut"), (stripes(501), "nut", "bolt")):
        found = products(image, product="nearest", name="x")
        named = {each: products(image, product=each, name="x") for each in products.names}
        assert named[name].score < named[other].score
        assert found.product == name
        assert [each.recipe.name for each in found.nearest] == [name, other]
        assert found.second == found.nearest[1]
        # One method and backbone: the scores in one unit.
        units = [named[each.recipe.name].score / each.deviation for each in found.nearest]
        assert units[0] == pytest.approx(units[1], rel=1e-6)
        assert units[0] > 0
        assert replace(found, nearest=(), latency_ms=0, anomaly_map=None, pixels=None) == replace(
            named[name], latency_ms=0, anomaly_map=None, pixels=None
        )


def test_by_the_nearest_an_image_is_anomalous_only_if_it_is_so_by_all(models: Path) -> None:
    """So a good image is no more often called anomalous than by the model of its own product."""
    products = onlygood.Products(models, with_map=False)
    images = [make(seed) for seed in range(600, 608) for make in (texture, stripes)]
    images += [with_defect(texture(700)), with_defect(stripes(700)), np.zeros((96, 96), np.uint8)]
    said = {name: [each.is_anomaly for each in products.map(images, product=name)] for name in products.names}  # type: ignore[union-attr]
    nearest = [each.is_anomaly for each in products.map(images, product="nearest")]  # type: ignore[union-attr]
    assert nearest == [all(both) for both in zip(*said.values(), strict=True)]
    assert any(nearest)
    assert not all(nearest)


def test_models_of_other_methods_are_compared_in_units_of_their_own_spread(models: Path) -> None:
    onlygood.fit_products(
        {"nut": [stripes(number) for number in range(COUNT)]},
        models,
        **{**OPTIONS, "method": onlygood.Mahalanobis(input_size=64, taps=("stage4",))},
    )
    products = onlygood.Products(models, with_map=False)
    for make, name in ((texture, "bolt"), (stripes, "nut")):
        found = products(make(502), product="nearest")
        assert found.product == name
        for each in found.nearest:
            scores = products.inspector(each.recipe.name).calibration_scores
            assert scores is not None
            by_itself = np.quantile(scores.scores, 0.95, method="inverted_cdf") - np.quantile(
                scores.scores, 0.5, method="inverted_cdf"
            )
            score = products(make(502), product=each.recipe.name).score
            assert each.deviation == pytest.approx(score / by_itself, rel=1e-5)


def test_what_one_product_cannot_take_is_not_its_own(models: Path) -> None:
    onlygood.fit_products({"axle": [twelve_bit(each) for each in textures(COUNT)]}, models, **OPTIONS)
    products = onlygood.Products(models)
    found = products(twelve_bit(texture(503)), product="nearest")
    assert [each.recipe.name for each in found.nearest] == ["axle"]
    assert found.second is None
    with pytest.raises(ImageFormatError):
        products(twelve_bit(texture(503)), product="bolt")


def test_an_image_that_no_product_can_take_is_an_error_of_the_image(models: Path, tmp_path: Path) -> None:
    products = onlygood.Products(models)
    with pytest.raises(ImageFormatError, match="16"):
        products(twelve_bit(texture(504)), product="nearest")
    save(tmp_path / "new", {"a.png": texture(505), "b.png": stripes(505)})
    (tmp_path / "new/a.txt.png").write_text("no image")
    found = list(products.map(tmp_path / "new", product="nearest", threads=2))
    assert [each.name for each in found] == ["a.png", "a.txt.png", "b.png"]
    assert isinstance(found[1], ImageError)
    assert [each.product for each in found if isinstance(each, onlygood.ProductInspection)] == ["bolt", "nut"]


def test_an_inspection_says_as_json_what_was_chosen(models: Path) -> None:
    products = onlygood.Products(models)
    named = products(texture(506), product="nut", name="x").to_dict()
    assert list(named)[:4] == ["name", "product", "recipe", "nearest"]
    assert (named["product"], named["recipe"], named["nearest"]) == ("nut", 2, None)
    chosen = json.loads(json.dumps(products(texture(506), product="nearest", name="x").to_dict()))
    assert [each["product"] for each in chosen["nearest"]] == ["bolt", "nut"]
    assert set(chosen) - set(named) == set()
    assert products(texture(506), product="nearest").without_map().product == "bolt"


def test_models_are_opened_when_they_are_asked_for_and_few_stay_open(models: Path) -> None:
    onlygood.fit_products({"axle": textures(COUNT, start=300)}, models, **OPTIONS)
    (models / "axle.onnx").write_bytes(b"damaged later")
    products = onlygood.Products(models, max_open=1)
    first = products.inspector("bolt")
    assert products.inspector(1) is first
    second = products.inspector("nut")
    assert products.inspector("nut") is second
    assert products.inspector("bolt") is not first
    assert len(products._open) == 1


def test_threads_share_what_is_open(models: Path) -> None:
    products = onlygood.Products(models, threads=1)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda name=name: found.append(id(products.inspector(name))))
        for name in ("bolt", "nut") * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2


def test_settings_are_those_of_every_inspector(models: Path) -> None:
    products = onlygood.Products(models, false_alarm_rate=0.3, with_map=False, max_pixels=96 * 96)
    inspector = products.inspector("bolt")
    assert inspector.is_recalibrated
    assert inspector.metadata.guarantee.requested_rate == 0.3
    assert products(texture(507), product="nearest").anomaly_map is None
    with pytest.raises(onlygood.ImageTooLargeError):
        products(texture(507, (97, 96)), product="nearest")


@pytest.mark.parametrize(
    ("product", "message"),
    [
        (
            None,
            r"holds 2 products, 1 \(bolt\), 2 \(nut\), got none named: give one by its number or name, or 'nearest'",
        ),
        ("Nut", r"must be one of 1 \(bolt\), 2 \(nut\), got 'Nut': did you mean 'nut'\?"),
        ("axle", r"must be one of 1 \(bolt\), 2 \(nut\), got 'axle'$"),
        ("../bolt", r"must be one of 1 \(bolt\), 2 \(nut\), got '\.\./bolt': did you mean 'bolt'\?"),
        (0, r"a recipe number of .* must be that of one of 1 \(bolt\), 2 \(nut\), got 0$"),
        (3, r"a recipe number of .* must be that of one of 1 \(bolt\), 2 \(nut\), got 3$"),
        ("3", r"a recipe number of .* must be that of one of 1 \(bolt\), 2 \(nut\), got 3$"),
        ("9" * 5000, r"a recipe number of .* must be that of one of 1 \(bolt\), 2 \(nut\), got 9"),
        ("²", r"must be one of 1 \(bolt\), 2 \(nut\), got '²'"),
        (True, r"a product must be a name or a recipe number, got True"),
        (1.0, r"a product must be a name or a recipe number, got 1\.0"),
        (["bolt"], r"a product must be a name or a recipe number, got \['bolt'\]"),
    ],
)
def test_products_that_are_not_there_are_one_sentence(product: Any, message: str, fitted: Path) -> None:
    products = onlygood.Products(fitted)
    for ask in (
        lambda: products.inspector(product),
        lambda: products(texture(1), product=product),
        lambda: products.map([texture(1)], product=product),
    ):
        with pytest.raises(SettingError, match=message) as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_another_is_one_sentence_and_the_others_work(models: Path) -> None:
    bolt = (models / "bolt.onnx").read_bytes()
    (models / "bolt.onnx").write_bytes((models / "nut.onnx").read_bytes())
    products = onlygood.Products(models)
    with pytest.raises(ModelFileError, match=r"of the product bolt must be the one that the table names, got another"):
        products(texture(508), product="bolt")
    with pytest.raises(ModelFileError, match=r"accept it with `onlygood products .*models --refresh`"):
        products(texture(508), product="nearest")
    assert products(stripes(508), product="nut").product == "nut"
    (models / "bolt.onnx").unlink()
    with pytest.raises(
        ModelFileError, match=r"needs its model file .*bolt.onnx, which is missing: put it back, or take"
    ):
        products(texture(508), product="bolt")
    (models / "bolt.onnx").write_bytes(bolt)
    assert products(texture(508), product="bolt").product == "bolt"


def test_folders_that_are_no_set_are_one_sentence(models: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (
        (
            tmp_path / "empty",
            "must hold products.json, as `onlygood fit --product-by` writes it, to be a set of products",
        ),
        (models / "bolt.onnx", "a set of products must be a folder, got the file"),
        (tmp_path / "gone", "gone does not exist: check the path"),
        ("a\0b", "cannot be opened|does not exist"),
        ("", "a path must not be empty"),
    ):
        with pytest.raises(ModelFileError, match=message):
            onlygood.Products(folder)
    (models / TABLE).write_bytes(b"{")
    with pytest.raises(ModelFormatError, match="must be JSON in UTF-8"):
        onlygood.Products(models)


def test_the_nearest_of_more_products_than_may_be_open_is_refused(fitted: Path) -> None:
    with pytest.raises(
        SettingError, match="needs all 2 models open at once, got max_open=1: name the product, or raise"
    ):
        onlygood.Products(fitted, max_open=1)(texture(1), product="nearest")
    with pytest.raises(SettingError, match="max_open must be a whole number of at least 1, got 0"):
        onlygood.Products(fitted, max_open=0)


def test_one_product_need_not_be_named(models: Path) -> None:
    table = ProductTable.read(models, shown="models")
    table.without(table.products[0]).write(models)
    products = onlygood.Products(models)
    assert products(stripes(509)).recipe == 2
    found = products(stripes(509), product="nearest")
    assert (found.product, found.second) == ("nut", None)
