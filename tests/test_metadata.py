"""The description in a model file: one model, which keeps what it does not know and names what it misses."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest

import onlygood
from onlygood.errors import ModelFormatError
from onlygood.graph.model_file import METADATA_KEY, content_digest
from onlygood.metadata import Metadata, metadata_schema


@pytest.fixture(scope="module")
def described(model: onlygood.Model) -> dict[str, Any]:
    return model.metadata.to_dict()


def with_description(model: onlygood.Model, described: dict[str, Any], path: Path) -> Path:
    """A file of the model with another description and its digest, as a newer onlygood would write it."""
    graph = onnx.load_model_from_string(model.file.content)
    described = {key: value for key, value in described.items() if key != "content_sha256"}
    text = json.dumps({**described, "content_sha256": content_digest(graph, described)})
    del graph.metadata_props[:]
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, text
    onnx.save(graph, path)
    return path


def test_what_is_written_follows_the_published_schema(described: dict[str, Any]) -> None:
    jsonschema.validate(described, metadata_schema())
    with pytest.raises(jsonschema.ValidationError, match="threshold"):
        jsonschema.validate({**described, "calibration": {"method": "split"}}, metadata_schema())


def test_what_is_read_is_what_was_written(described: dict[str, Any]) -> None:
    assert Metadata.from_dict(described, "x").to_dict() == described


def test_fields_that_a_newer_version_added_are_kept_through_another_calibration(
    model: onlygood.Model, described: dict[str, Any], tmp_path: Path
) -> None:
    newer = {
        **described,
        "lamp": {"watts": 12},
        "input": {**described["input"], "roi": [1, 2, 3, 4]},
        "guarantee": {**described["guarantee"], "argument": "of tomorrow"},
    }
    path = with_description(model, newer, tmp_path / "newer.onnx")
    onlygood.calibrate(path, false_alarm_rate=0.2).save(tmp_path / "again.onnx")
    kept = onlygood.Inspector(tmp_path / "again.onnx").metadata.to_dict()
    assert kept["lamp"] == {"watts": 12}
    assert kept["input"]["roi"] == [1, 2, 3, 4]
    assert kept["guarantee"]["argument"] == "of tomorrow"
    assert kept["guarantee"]["requested_rate"] == 0.2


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (("input", "window"), "must have input.window in its description, got none"),
        (("calibration", "threshold"), "must have calibration.threshold in its description, got none"),
        (("guarantee", "groups"), "must have guarantee.groups in its description, got none"),
        (("map_levels",), "must have map_levels in its description, got none"),
        (("method",), "must have method in its description, got none"),
    ],
)
def test_a_field_that_is_missing_is_named(
    model: onlygood.Model, described: dict[str, Any], where: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    without = json.loads(json.dumps(described))
    holder = without
    for name in where[:-1]:
        holder = holder[name]
    del holder[where[-1]]
    path = with_description(model, without, tmp_path / "part.onnx")
    with pytest.raises(ModelFormatError) as caught:
        onlygood.Inspector(path)
    assert str(caught.value) == f"the model {path} {message}: copy it again, or fit it again"


def test_a_field_that_cannot_be_used_is_named_with_its_value(described: dict[str, Any]) -> None:
    with pytest.raises(
        ModelFormatError, match=r"must have input.dtype in its description, got 'float64' \(input should"
    ):
        Metadata.from_dict({**described, "input": {**described["input"], "dtype": "float64"}}, "x")


def test_a_rule_of_a_newer_version_is_named(described: dict[str, Any]) -> None:
    newer = Metadata.from_dict({**described, "settings": {"threshold_rule": "oracle"}}, "x")
    with pytest.raises(ModelFormatError, match="must have one of auto, conformal, estimated as threshold_rule"):
        _ = newer.threshold_rule


def test_settings_are_kept_as_they_were_given(model: onlygood.Model) -> None:
    settings = model.metadata.settings
    assert settings["bank_size"] == 300
    assert settings["group_by"] is None
    assert "num_neighbors" not in settings
