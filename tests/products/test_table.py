"""The table of a set of products: names, numbers, files, and tables that nobody should believe."""

import json
import string
from pathlib import Path
from typing import Any

import pytest

from onlygood.errors import ModelFileError, ModelFormatError, ModelVersionError, SettingError
from onlygood.products.table import (
    FORMAT,
    TABLE,
    ProductTable,
    composed,
    digest_of,
    in_order,
    safe_file_name,
)

DIGEST = digest_of(b"a model")
OTHER = digest_of(b"another model")
PORTABLE = set(string.ascii_letters + string.digits + "._-")


def table(*names: str) -> ProductTable:
    return ProductTable().with_products(dict.fromkeys(names, DIGEST))


def numbers(found: ProductTable) -> dict[str, int]:
    return {each.name: each.number for each in found.products}


def test_numbers_follow_the_names_with_numbers_in_them_by_their_value() -> None:
    assert numbers(table("A10", "b", "A9", "a")) == {"a": 1, "A9": 2, "A10": 3, "b": 4}
    assert sorted(["x2y10", "x2y9", "x10", ""], key=in_order) == ["", "x2y9", "x2y10", "x10"]


def test_products_that_are_added_later_leave_numbers_and_files_as_they_are() -> None:
    before = table("bolt", "nut")
    after = before.with_products({"axle": OTHER, "nut": OTHER})
    assert numbers(after) == {"bolt": 1, "nut": 2, "axle": 3}
    assert [each.file for each in after.products] == ["bolt.onnx", "nut.onnx", "axle.onnx"]
    assert [each.sha256 for each in after.products] == [DIGEST, OTHER, OTHER]
    assert before == table("bolt", "nut")


def test_the_number_of_a_product_that_was_removed_is_never_given_again() -> None:
    before = table("a", "b", "c")
    after = before.without(before.products[1]).with_products({"d": DIGEST})
    assert numbers(after) == {"a": 1, "c": 3, "d": 4}
    assert numbers(after.with_products({"b": DIGEST})) == {"a": 1, "c": 3, "d": 4, "b": 5}


def test_a_product_that_is_called_by_a_number_has_that_number() -> None:
    assert numbers(table("7", "2", "axle", "007", "4711")) == {"007": 1, "2": 2, "axle": 3, "7": 7, "4711": 4711}


@pytest.mark.parametrize("removed", [False, True])
def test_a_number_that_another_product_has_or_had_is_refused_as_a_name(removed: bool) -> None:
    found = table("axle", "bolt")
    if removed:
        found = found.without(found.products[0])
    with pytest.raises(SettingError, match=r"got '1', which (the product 'axle' has|a product that was removed had)"):
        found.with_products({"1": DIGEST})


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("", "one without letters"),
        (" \t", "one without letters"),
        ("x" * 201, "one of 201 letters"),
        ("Nearest", "'Nearest', which stands for the nearest product"),
        ("bolt\udce4", r"bolt\\udce4, which is no text"),
    ],
)
def test_names_that_cannot_be(name: str, got: str) -> None:
    with pytest.raises(SettingError, match=f"the name of a product must be text of at most 200 .* got {got}: call it"):
        table(name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("bolt", "bolt.onnx"),
        ("Bolt M8 / left", "Bolt-M8-left.onnx"),
        ("..", "product.onnx"),
        ("../../etc/passwd", "etc-passwd.onnx"),
        ("C:\\models\\a", "C-models-a.onnx"),
        ("con", "product-con.onnx"),
        ("COM1.x", "product-COM1.x.onnx"),
        (".hidden", "hidden.onnx"),
        ("Schräge Größe", "Schrage-Groe.onnx"),
        ("螺栓", "product.onnx"),
        ("a\x00b\nc", "a-b-c.onnx"),
        ("-rf", "rf.onnx"),
        ("x" * 200, "x" * 60 + ".onnx"),
    ],
)
def test_the_name_of_a_file_is_one_that_every_system_takes(name: str, file: str) -> None:
    found = safe_file_name(name, [])
    assert found == file
    assert set(found) <= PORTABLE
    assert Path(found).name == found


def test_no_two_products_share_a_file_nor_take_one_that_lies_there() -> None:
    found = table("bolt", "Bolt", "bolt!", "螺栓", "螺母")
    files = [each.file for each in found.products]
    assert len({file.casefold() for file in files}) == 5
    added = ProductTable().with_products({"bolt": DIGEST}, there=["BOLT.onnx", "bolt-2.onnx"])
    assert added.products[0].file == "bolt-3.onnx"


def test_accents_that_are_written_in_two_ways_are_one_name() -> None:
    assert composed("Gro\u0308ße") == composed("Größe") == "Größe"


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = table("bolt", "螺栓", "4711").with_products({"axle": OTHER})
    found = found.without(found.products[0])
    found.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [TABLE]
    assert ProductTable.read(tmp_path, shown="models") == found


def test_a_table_of_format_1_is_read() -> None:
    """The first format, as it was written; it must be read for ever."""
    content = (
        '{"format": 1, "products": [{"number": 3, "name": "bolt", "file": "bolt.onnx", "sha256": "'
        + "0" * 64
        + '"}], "retired": [1]}'
    )
    found = ProductTable.from_bytes(content.encode(), shown="t")
    assert (found.products[0].number, found.retired) == (3, (1,))


def written(**changes: Any) -> bytes:
    entry = {"number": 1, "name": "bolt", "file": "bolt.onnx", "sha256": DIGEST}
    return json.dumps({"format": FORMAT, "products": [{**entry, **changes}], "retired": []}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be JSON in UTF-8, got what cannot be read"),
        (b"\xff\xfe\x00", "must be JSON in UTF-8, got what cannot be read"),
        (b"[" * 100_000, "must be JSON in UTF-8, got what cannot be read"),
        (b"[]", "must have a format number of at least 1, got None"),
        (b'{"format": true}', "must have a format number of at least 1, got True"),
        (b'{"format": "1"}', "must have a format number of at least 1, got '1'"),
        (b'{"format": 1}', "must hold at least one product, got none"),
        (b'{"format": 1, "products": 3}', "got a value at products that cannot be used"),
        (b'{"format": 1, "other": 3}', "got a value at other that cannot be used"),
        (b" " * 10_000_001, "must have at most 10,000,000 bytes, got more"),
        (written(number=0), "got a value at products.0.number that cannot be used"),
        (written(number="1"), "got a value at products.0.number that cannot be used"),
        (written(number=10**9), "got a value at products.0.number that cannot be used"),
        (written(name=""), "got a value at products.0.name that cannot be used"),
        (written(name="nearest"), "got a value at products.0.name that cannot be used"),
        (written(file="../part.onnx"), "got a value at products.0.file that cannot be used"),
        (written(file="/etc/passwd"), "got a value at products.0.file that cannot be used"),
        (written(file="..\\part.onnx"), "got a value at products.0.file that cannot be used"),
        (written(file=".onnx"), "got a value at products.0.file that cannot be used"),
        (written(file="nul.onnx"), "got a value at products.0.file that cannot be used"),
        (written(file="bolt.onnx\n"), "got a value at products.0.file that cannot be used"),
        (written(sha256="0"), "got a value at products.0.sha256 that cannot be used"),
        (written(more=1), "got a value at products.0.more that cannot be used"),
    ],
)
def test_tables_that_cannot_be_used_are_one_sentence(content: bytes, message: str) -> None:
    with pytest.raises(ModelFormatError) as caught:
        ProductTable.from_bytes(content, shown="models/products.json")
    said = str(caught.value)
    assert said.startswith("the table models/products.json must")
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("same", ["number", "name", "file"])
def test_what_tells_products_apart_is_there_once(same: str) -> None:
    first = {"number": 1, "name": "bolt", "file": "bolt.onnx", "sha256": DIGEST}
    second = {"number": 2, "name": "nut", "file": "nut.onnx", "sha256": DIGEST}
    second[same] = str(first[same]).upper().replace("ONNX", "onnx") if same == "file" else first[same]
    content = json.dumps({"format": 1, "products": [first, second]}).encode()
    with pytest.raises(ModelFormatError, match=f"must have each {same} once, got one twice"):
        ProductTable.from_bytes(content, shown="t")


def test_a_table_of_a_newer_onlygood_is_said_to_be_one() -> None:
    with pytest.raises(ModelVersionError, match="has format 2, this onlygood reads up to 1: install a newer onlygood"):
        ProductTable.from_bytes(b'{"format": 2, "anything": []}', shown="t")


def test_a_folder_without_a_table_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"the folder models must hold products.json, as `onlygood fit --product-by`"
    ):
        ProductTable.read(tmp_path, shown="models")
    (tmp_path / TABLE).mkdir()
    with pytest.raises(ModelFileError, match=r"products.json cannot be read: is a directory"):
        ProductTable.read(tmp_path, shown="models")
