"""`onlygood fit --product-by`, `inspect --product` and `products`."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import onlygood
from command_line import left, one_sentence
from onlygood.products.table import TABLE
from product_line import save_line, stripes
from textures import save, texture, with_defect

FAST = ("--input-size", 64, "--bank-size", 100, "--false-alarm-rate", 0.1, "--near-duplicates", "ignore")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of a line, the set of its models, and new images."""
    folder = tmp_path_factory.mktemp("line")
    save_line(folder / "line")
    onlygood.fit_products(
        folder / "line",
        folder / "models",
        method=onlygood.Patch(input_size=64, bank_size=100),
        false_alarm_rate=0.1,
        near_duplicates="ignore",
    )
    save(
        folder / "new",
        {
            "bolt.png": texture(901),
            "bolt_bad.png": with_defect(texture(902)),
            "nut.png": stripes(901),
            "nut_bad.png": with_defect(stripes(902)),
        },
    )
    return folder


@pytest.fixture
def here(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, which is the current folder."""
    shutil.copytree(fitted, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_fit_writes_the_set_that_python_writes_and_says_what_was_learned_of_each(run: Any, here: Path) -> None:
    ran = run("fit", "line", "--product-by", "folder", "-o", "again", *FAST)
    assert ran.code == 0
    assert left(here / "again") == ["bolt.onnx", "nut.onnx", TABLE]
    for name in left(here / "again"):
        assert (here / "again" / name).read_bytes() == (here / "models" / name).read_bytes()
    lines = ran.out.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        f"{Path('again', f'{name}.onnx')}: product {number} ({name}), learned from 10 good images, "
        f"{(here / 'again' / f'{name}.onnx').stat().st_size / 1e6:.1f} MB"
        for number, name in ((1, "bolt"), (2, "nut"))
    ]
    assert sum("of good images will be called anomalous" in line for line in lines) == 2
    assert "bolt, 1 of 2 products\n" in ran.err
    assert "nut, 2 of 2 products\n" in ran.err


def test_fit_says_which_product_fails_and_writes_nothing(run: Any, here: Path) -> None:
    shutil.rmtree(here / "line/nut")
    save(here / "line/nut", {f"{number}.png": texture(0) for number in range(5)})
    ran = run("fit", "line", "--product-by", "folder", "-o", "again", "-q")
    assert "the product nut cannot be fitted, so nothing is written: " in one_sentence(ran)
    ran = run("fit", "line", "--product-by", "folder", "-o", "models", "-q")
    assert ran.code == 2
    assert not (here / "again").exists()
    assert [each.name for each in onlygood.Products("models").recipes] == ["bolt", "nut"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-o a.onnx", "with --product-by, -o must be a folder, for a model file of each product, got a.onnx"),
        ("-o again --report r.html", "--report is of one model, got it with --product-by"),
        ("-o again --method deep-svdd --resume", "--resume is of one model, got it with --product-by"),
        (
            "-o again --golden --show-augmentations a.png",
            "--show-augmentations is of one model, got it with --product-by",
        ),
        ("-o no/such", "no/such cannot be made: there is no folder no: make it first"),
        ("-o new/nut.png", "a set of products must be a folder, got the file new/nut.png"),
        ("-o again --exclude gone.png", "exclude must name good images that are there, got 'gone.png'"),
    ],
)
def test_options_of_a_fit_that_do_not_go_with_several_products(run: Any, here: Path, line: str, message: str) -> None:
    before = left(here)
    assert message in one_sentence(run("fit", "line", "--product-by", "folder", *line.split()))
    assert left(here) == before


def test_inspect_by_a_name_and_by_its_number_say_the_same(run: Any, here: Path) -> None:
    by_name, by_number = (run("inspect", "models", "new", "--product", each) for each in ("nut", "2"))
    assert by_name == by_number
    assert by_name.code == 1
    alone = run("inspect", "models/nut.onnx", "new")
    assert by_name.out.splitlines()[0].split() == [*alone.out.splitlines()[0].split(), "product"]
    for ours, theirs in zip(by_name.out.splitlines()[1:-1], alone.out.splitlines()[1:-1], strict=True):
        assert ours.split() == [*theirs.split(), "nut"]
    assert by_name.out.splitlines()[-1] == alone.out.splitlines()[-1]


def test_inspect_by_the_nearest_names_both_of_the_nearest_and_counts_them(run: Any, here: Path) -> None:
    ran = run("inspect", "models", "new", "--product", "nearest")
    assert ran.code == 1
    head, *rows, summary, counts = ran.out.splitlines()
    assert head.split() == ["image", "verdict", "score", "p-value", "product", "deviation", "second", "deviation"]
    words = [row.split() for row in rows]
    assert [(row[0], row[1]) for row in words] == [
        ("bolt.png", "good"),
        ("bolt_bad.png", "ANOMALOUS"),
        ("nut.png", "good"),
        ("nut_bad.png", "ANOMALOUS"),
    ]
    by_name = {row[0]: row for row in words}
    assert (by_name["bolt.png"][4], by_name["bolt.png"][6]) == ("bolt", "nut")
    assert (by_name["nut.png"][4], by_name["nut.png"][6]) == ("nut", "bolt")
    assert all(float(row[5]) <= float(row[7]) for row in words)
    assert summary == "4 images: 2 anomalous, 2 good"
    assert counts.startswith("nearest product: ")
    assert "note: Each image is inspected by the model of every product" in ran.err


def test_json_and_csv_have_the_product(run: Any, here: Path) -> None:
    (here / "new/x.png").write_text("no image")
    objects = [
        json.loads(line) for line in run("inspect", "models", "new", "--product", "nearest", "--json").out.splitlines()
    ]
    assert [each["name"] for each in objects] == ["bolt.png", "bolt_bad.png", "nut.png", "nut_bad.png", "x.png"]
    assert (objects[0]["product"], objects[0]["recipe"]) == ("bolt", 1)
    assert [each["product"] for each in objects[2]["nearest"]] == ["nut", "bolt"]
    assert set(objects[4]) == {"name", "error"}
    ran = run("inspect", "models", "new", "--product", "nearest", "--csv")
    assert ran.code == 2
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    for row, found in zip(rows[:4], objects[:4], strict=True):
        assert (row["product"], int(row["recipe"])) == (found["product"], found["recipe"])
        assert float(row["deviation"]) == found["nearest"][0]["deviation"]
        assert row["second_product"] == found["nearest"][1]["product"]
        assert float(row["second_deviation"]) == found["nearest"][1]["deviation"]
        assert float(row["score"]) == found["score"]
    assert (rows[4]["product"], rows[4]["second_deviation"]) == ("", "")
    assert rows[4]["error"]
    named = list(csv.DictReader(io.StringIO(run("inspect", "models", "new", "--product", "1", "--csv").out)))
    assert (named[0]["product"], named[0]["deviation"], named[0]["second_product"]) == ("bolt", "", "")
    alone = list(csv.DictReader(io.StringIO(run("inspect", "models/bolt.onnx", "new", "--csv").out)))
    assert "product" not in alone[0]


def test_heat_maps_are_those_of_the_product_that_was_chosen(run: Any, here: Path) -> None:
    assert run("inspect", "models", "new/nut_bad.png", "--product", "nearest", "--heatmaps", "near").code == 1
    chosen = onlygood.Products("models")("new/nut_bad.png", product="nearest").product
    assert run("inspect", f"models/{chosen}.onnx", "new/nut_bad.png", "--heatmaps", "own").code == 1
    assert (here / "near/nut_bad_heatmap.png").read_bytes() == (here / "own/nut_bad_heatmap.png").read_bytes()


def test_another_rate_or_threshold_is_that_of_the_product(run: Any, here: Path) -> None:
    alone = run("inspect", "models/nut.onnx", "new", "--threshold", 1.5)
    ours = run("inspect", "models", "new", "--product", "nut", "--threshold", 1.5)
    assert [line.split()[:4] for line in ours.out.splitlines() if ".png" in line] == [
        line.split()[:4] for line in alone.out.splitlines() if ".png" in line
    ]
    ran = run("inspect", "models", "new", "--product", "nearest", "--false-alarm-rate", 0.3)
    said = [
        line for line in ran.out.splitlines() if "This run uses the threshold for a false-alarm rate of 0.3" in line
    ]
    assert [line.split(":")[0] for line in said] == ["bolt", "nut"]


def test_a_signature_is_required_of_the_products_that_are_asked(run: Any, here: Path) -> None:
    del here
    assert run("sign", "--new-key", "key").code == 0
    assert run("sign", "models/nut.onnx", "--key", "key").code == 0
    said = one_sentence(run("inspect", "models", "new", "--product", "nut"))
    assert "must be the one that the table names, got another: if it was updated or replaced on purpose" in said
    assert run("products", "models", "--refresh").code == 0
    assert run("inspect", "models", "new", "--product", "nut", "--require-signature", "key.pub").code == 1
    for product in ("bolt", "nearest"):
        ran = run("inspect", "models", "new", "--product", product, "--require-signature", "key.pub")
        assert "bolt.onnx must be signed" in one_sentence(ran)


def test_a_report_is_of_the_product_that_is_named(run: Any, here: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    assert run("inspect", "models", "new", "--product", "nut", "--report", "r.html").code == 1
    assert "models, nut" in (here / "r.html").read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("models new", "models holds 2 products, 1 (bolt), 2 (nut), got none named: give one by its number or name"),
        (
            "models new --product Nut",
            "a product of models must be one of 1 (bolt), 2 (nut), got 'Nut': did you mean 'nut'?",
        ),
        ("models new --product 3", "a recipe number of models must be that of one of 1 (bolt), 2 (nut), got 3"),
        (
            "models new --product nearest --threshold 1",
            "--threshold is of one model, got it with the nearest of several",
        ),
        (
            "models new --product nearest --report r.html",
            "--report is of one model, got it with the nearest of several",
        ),
        ("models new --product nearest --max-open 1", "needs all 2 models open at once, got max_open=1"),
        ("models/nut.onnx new --product nut", "--product goes with a folder of products, got it with the model file"),
        ("line new --product nut", "the folder line must hold products.json, as `onlygood fit --product-by` writes it"),
        ("line new", "a model must be a file, got the folder line"),
    ],
)
def test_products_that_cannot_be_chosen_are_one_sentence(run: Any, here: Path, line: str, message: str) -> None:
    del here
    assert message in one_sentence(run("inspect", *line.split()))


def test_products_lists_the_set_and_changes_its_table(run: Any, here: Path) -> None:
    ran = run("products", "models")
    assert (ran.code, ran.err) == (0, "")
    assert [row.split()[:3] for row in ran.out.splitlines()] == [["1", "bolt", "bolt.onnx"], ["2", "nut", "nut.onnx"]]
    onlygood.calibrate("models/nut.onnx", false_alarm_rate=0.3).save("models/nut.onnx")
    ran = run("products", "models")
    assert ran.code == 2
    assert "accept it with `onlygood products models --refresh`" in ran.out.splitlines()[1]
    ran = run("products", "models", "--refresh")
    assert (ran.code, ran.err) == (0, "1 model file accepted; 2 (nut)\n")
    ran = run("products", "models", "--add", "axle=models/bolt.onnx")
    assert (ran.code, ran.err) == (0, "3 (axle): added\n")
    ran = run("products", "models", "--remove", "1", "--json")
    assert (ran.code, ran.err) == (0, "1 (bolt) is no product of the set any more; its file bolt.onnx is still there\n")
    assert [(each["number"], each["name"], each["problem"]) for each in json.loads(ran.out)] == [
        (2, "nut", None),
        (3, "axle", None),
    ]
    assert (here / "models/bolt.onnx").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gone", "gone does not exist: check the path"),
        ("line", "the folder line must hold products.json"),
        ("models/nut.onnx", "a set of products must be a folder, got the file models/nut.onnx"),
        ("models --add axle", "--add must be a name, = and a model file, got 'axle': give NAME=part.onnx"),
        ("models --add axle=gone.onnx", "the model gone.onnx does not exist"),
        ("models --add nearest=models/nut.onnx", "the name of a product must be text"),
        ("models --remove axle", "a product of models must be one of 1 (bolt), 2 (nut), got 'axle'"),
    ],
)
def test_what_products_refuses_is_one_sentence(run: Any, here: Path, line: str, message: str) -> None:
    del here
    assert message in one_sentence(run("products", *line.split()))
