"""Changes of a set's table: models from elsewhere, updated ones, ones that go."""

from pathlib import Path

import pytest

import onlygood
from command_line import left
from onlygood.errors import ModelFileError, ModelFormatError, SettingError
from onlygood.products.changes import add_model, refresh, remove, states_of
from onlygood.products.table import TABLE, ProductTable
from textures import texture


def test_a_model_that_was_fitted_elsewhere_becomes_a_product(models: Path, model_path: Path) -> None:
    before = (models / "bolt.onnx").read_bytes()
    assert str(add_model(models, "axle 7", model_path)) == "3 (axle 7)"
    products = onlygood.Products(models)
    assert products.names == ("bolt", "nut", "axle 7")
    alone = onlygood.Inspector(model_path)(texture(800))
    assert products(texture(800), product="axle 7").score == alone.score
    assert (models / "axle-7.onnx").read_bytes() == model_path.read_bytes()
    assert (models / "bolt.onnx").read_bytes() == before


def test_a_model_takes_the_place_of_the_product_of_its_name(models: Path, model_path: Path) -> None:
    assert str(add_model(models, "nut", model_path)) == "2 (nut)"
    assert (models / "nut.onnx").read_bytes() == model_path.read_bytes()
    assert left(models) == ["bolt.onnx", "nut.onnx", TABLE]
    assert [each.problem for each in states_of(models)] == [None, None]


def test_a_set_begins_with_the_first_model(tmp_path: Path, model_path: Path) -> None:
    assert str(add_model(tmp_path / "new", "17", model_path)) == "17 (17)"
    assert onlygood.Products(tmp_path / "new").names == ("17",)


def test_a_file_that_is_no_model_is_not_added(models: Path, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no model")
    for path, error in ((tmp_path / "x.onnx", ModelFormatError), (tmp_path / "gone", ModelFileError)):
        with pytest.raises(error):
            add_model(models, "axle", path)
        with pytest.raises(error):
            add_model(tmp_path / "new", "axle", path)
    assert left(models) == ["bolt.onnx", "nut.onnx", TABLE]
    assert not (tmp_path / "new").exists()


def test_a_model_that_was_changed_on_purpose_is_accepted(models: Path) -> None:
    assert refresh(models) == []
    onlygood.calibrate(models / "nut.onnx", false_alarm_rate=0.2).save(models / "nut.onnx")
    assert [each.problem is None for each in states_of(models)] == [True, False]
    assert [each.name for each in refresh(models)] == ["nut"]
    assert [each.problem for each in states_of(models)] == [None, None]
    assert onlygood.Products(models).inspector("nut").metadata.guarantee.requested_rate == 0.2
    assert [str(each) for each in onlygood.Products(models).recipes] == ["1 (bolt)", "2 (nut)"]


def test_a_file_that_is_no_model_is_not_accepted(models: Path) -> None:
    before = (models / TABLE).read_bytes()
    (models / "nut.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFormatError, match=r"nut\.onnx"):
        refresh(models)
    (models / "nut.onnx").unlink()
    with pytest.raises(ModelFileError, match=r"nut\.onnx does not exist"):
        refresh(models)
    assert (models / TABLE).read_bytes() == before


def test_the_state_of_each_says_what_is_wrong_with_its_file(models: Path) -> None:
    (models / "bolt.onnx").unlink()
    (models / "nut.onnx").write_bytes(b"no model")
    missing, other = states_of(models)
    assert missing.problem is not None
    assert "which is missing" in missing.problem
    assert other.problem is not None
    assert "got another" in other.problem
    assert missing.to_dict() == {**missing.recipe.model_dump(), "summary": None, "problem": missing.problem}


def test_a_product_goes_out_of_the_table_and_its_file_stays(models: Path) -> None:
    assert remove(models, "bolt").number == 1
    assert left(models) == ["bolt.onnx", "nut.onnx", TABLE]
    assert onlygood.Products(models).names == ("nut",)
    assert ProductTable.read(models, shown="models").retired == (1,)
    with pytest.raises(SettingError, match=r"must be one of 2 \(nut\), got 'bolt'"):
        remove(models, "bolt")
    with pytest.raises(SettingError, match=r"a set must hold at least one product, got 2 \(nut\) to remove"):
        remove(models, 2)
