"""What the results look like at a prompt and in a notebook: a line each, whatever they hold."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.auditing.findings import Finding
from onlygood.cli.heatmaps import heatmap_paths
from onlygood.comparison.compare import Comparison, MeasuredMethod
from onlygood.comparison.recommendation import Recommendation
from onlygood.datasets.folders import ImageFile
from onlygood.datasets.labelled_set import LabelledImage, LabelledSet
from onlygood.datasets.selection import ChosenImage, Label
from onlygood.errors import SettingError
from onlygood.evaluation.evaluate import Evaluation
from onlygood.evaluation.figures import EvaluatedImage, figures_per_defect, image_figures
from onlygood.evaluation.rates import check_guarantee
from onlygood.exploration.explore import Exploration
from onlygood.exploration.tsne import Layout
from onlygood.model import GoodImage
from onlygood.products.changes import add_model
from onlygood.validation import Settings
from textures import texture, twelve_bit, with_defect

IMAGES = 1000
HOSTILE = "<script>alert('x')</script> & \udce4.png"


def evaluated(number: int) -> EvaluatedImage:
    """Every second one is anomalous, of one of five types; of those and of good ones, one in a hundred is misjudged."""
    is_anomalous = bool(number % 2)
    is_anomaly = is_anomalous != (number % 100 in (1, 2))
    name = f"a/rather/long/path/to/an/image/{number:06}.png"
    labelled = LabelledImage(
        file=ImageFile(Path(name), name),
        is_anomalous=is_anomalous,
        defect=f"<b>defect {number % 5}</b>" if is_anomalous else "good",
        mask=None,
        session=None,
    )
    return EvaluatedImage(
        labelled=labelled, score=1.0 if is_anomaly else -1.0, p_value=0.5, is_anomaly=is_anomaly, latency_ms=10.0
    )


def inspection(name: str) -> onlygood.Inspection:
    return onlygood.Inspection(name=name, score=-0.5, p_value=0.25, is_anomaly=False, anomaly_map=None, latency_ms=1.0)


@pytest.fixture(scope="module")
def evaluation(model: onlygood.Model) -> Evaluation:
    images = tuple(evaluated(number) for number in range(IMAGES))
    figures = image_figures(images)
    assert figures.false_alarms is not None
    return Evaluation(
        metadata=model.metadata,
        layout="folders",
        images=images,
        image=figures,
        per_defect=figures_per_defect(images),
        per_session={},
        pixel=None,
        guarantee=check_guarantee(model.metadata, figures.false_alarms),
        advice=None,
        at_rates=(),
        unreadable=tuple((f"{number}.png", "it is damaged") for number in range(3)),
        notes=("A note.",) * 20,
    )


@pytest.fixture(scope="module")
def exploration(model: onlygood.Model) -> Exploration:
    names = [f"a/rather/long/path/to/an/image/{number:06}.png" for number in range(IMAGES)]
    layout = Layout(points=np.zeros((IMAGES, 2)), perplexity=30.0, components=20, variance_kept=0.9)
    return Exploration(
        metadata=model.metadata,
        labels=tuple(Label(name=name, is_reference=False, found=500) for name in ("good", "blot")),
        images=tuple(ChosenImage(name=name, file=ImageFile(Path(name), name), label=0) for name in names),
        inspections=tuple(inspection(name) for name in names),
        source="embedding",
        dimensions=304,
        after=layout,
        before=layout,
        before_note=None,
        seed=0,
        unreadable=(),
    )


@pytest.fixture(scope="module")
def large_model(model: onlygood.Model) -> onlygood.Model:
    good = tuple(
        GoodImage(name=f"a/rather/long/path/{number:06}.png", score=0.1, group=number, calibrates=True)
        for number in range(IMAGES)
    )
    return replace(model, good_images=good, notes=("A note that goes on for a while. " * 10,) * 20)


@pytest.fixture
def comparison(evaluation: Evaluation) -> Comparison:
    measured = MeasuredMethod(
        label="patch@taps=" + "stage4/" * 30,
        method=onlygood.Patch(),
        evaluation=evaluation,
        fit_seconds=1.0,
        latency_ms=1.0,
        megabytes=1.0,
        file=None,
        notes=(),
    )
    images = tuple(each.labelled for each in evaluation.images)
    return Comparison(
        layout="held out",
        split="as they are",
        false_alarm_rate=0.05,
        learned_images=100,
        tested=LabelledSet(images=images, layout="folders", notes=()),
        measured=(measured,) * 30,
        failed=(),
        recommendation=Recommendation(method=measured.label, sentences=("It is good. " * 50,), tests=()),
        timed_images=9,
        notes=("A note. " * 100,),
    )


@pytest.fixture
def results(
    comparison: Comparison,
    large_model: onlygood.Model,
    model_path: Path,
    evaluation: Evaluation,
    exploration: Exploration,
    good_folder: Path,
    tmp_path: Path,
) -> dict[str, Any]:
    """One of each class of results, with all that it may hold."""
    inspector = onlygood.Inspector(model_path)
    add_model(tmp_path / ("set" * 50), "a rather long name " * 10, model_path)
    products = onlygood.Products(tmp_path / ("set" * 50))
    findings = (
        Finding(kind="blurred", images=("a/rather/long/path/" * 20,), sentence="It is blurred.", excludes=True),
    ) * 300
    return {
        "Audit": onlygood.Audit(images=1000, read=990, left_out=500, findings=findings, sources={}),
        "Comparison": comparison,
        "Evaluation": evaluation,
        "Exploration": exploration,
        "Model": large_model,
        "CalibratedModel": onlygood.calibrate(model_path, false_alarm_rate=0.01),
        "Inspection": inspector(np.zeros((1000, 1200), np.uint8), name="a/rather/long/path/" * 20 + "a.png"),
        "Inspector": onlygood.Inspector(model_path),
        "Guarantee": large_model.guarantee.model_copy(update={"rule": "estimated", "interval": (0.01, 0.1), "odd": 3}),
        "Metadata": large_model.metadata,
        "PixelTally": onlygood.PixelTally(),
        "Products": products,
        "ProductInspection": products(np.zeros((1000, 1200), np.uint8), name="a/rather/long/path/" * 20 + "a.png"),
        "Diff": onlygood.diff(model_path, onlygood.calibrate(model_path, threshold=1000), [good_folder]),
        "Drift": onlygood.drift(model_path, [np.zeros((96, 96), np.uint8)], baseline=20),
        "DriftTest": onlygood.DriftTest(model_path, baseline=20),
        "NamedImage": onlygood.NamedImage("lot 7", np.zeros((1000, 1000), np.uint8)),
    }


def test_every_class_of_results_is_looked_at(results: dict[str, Any]) -> None:
    classes = {name: getattr(onlygood, name) for name in onlygood.__all__}
    is_result = {
        name
        for name, value in classes.items()
        if isinstance(value, type) and not issubclass(value, Exception | Settings)
    }
    assert set(results) == is_result
    assert all(type(value).__name__ == name for name, value in results.items())


def test_each_is_a_short_line_that_says_what_it_is(results: dict[str, Any]) -> None:
    for name, value in results.items():
        said = repr(value)
        assert name in said
        assert "\n" not in said
        assert len(said) <= 200, said


def test_what_a_person_wants_to_know_is_in_it(results: dict[str, Any], model: onlygood.Model, model_path: Path) -> None:
    rate = "at most 0.1 of good images called anomalous, guaranteed approximately"
    size = f"{len(model.file.content) / 1e6:.1f} MB"
    assert repr(results["Evaluation"]) == (
        "<Evaluation: 1,000 images; AUROC 0.980; missed 10 of 500 anomalous; false alarms 10 of 500 good; 3 not "
        "readable>"
    )
    assert repr(results["Audit"]) == "<Audit: 1,000 images, 300 findings, 300 to decide on, 0 to leave out>"
    assert repr(results["Exploration"]) == (
        "<Exploration: 1,000 images in 2 folders, 0 called anomalous; embedding of 304 dimensions, maps before and "
        "after training>"
    )
    assert repr(model) == f"<Model: patch, learned from 16 good images, {rate}, {size}>"
    assert repr(model.guarantee) == f"<Guarantee: {rate}, from 16 images in 16 groups>"
    assert "about 0.1 of good images called anomalous, estimated" in repr(results["Guarantee"])
    exact = model.guarantee.model_copy(update={"is_exact": True})
    assert "at most 0.1 of good images called anomalous, guaranteed, from" in repr(exact)
    assert "part.onnx: patch, " in repr(results["Inspector"]) and repr(results["Inspector"]).endswith("with maps>")
    assert repr(onlygood.Inspector(model, with_map=False)).endswith("without maps>")
    assert repr(inspection("a.png")) == "<Inspection of a.png: good, score -0.5, p-value 0.25>"
    assert repr(results["Diff"]).startswith("<Diff: 0 of 16 images become anomalous, ")
    assert repr(results["Drift"]).startswith("<Drift: no image is tested yet: 1 of the 20 images")
    assert repr(results["DriftTest"]).startswith("<DriftTest: no image is tested yet: 0 of the 20 images")
    assert repr(results["Inspection"]).endswith(", with its map of 1000 x 1200>")


def test_figures_that_there_are_not_are_left_out(evaluation: Evaluation) -> None:
    good = tuple(each for each in evaluation.images if not each.labelled.is_anomalous)
    alone = replace(evaluation, images=good, image=image_figures(good), per_defect={}, guarantee=None, unreadable=())
    assert repr(alone) == "<Evaluation: 500 images; false alarms 10 of 500 good>"
    assert "<td" in alone._repr_html_() and "<p>" not in alone._repr_html_()


class Page(HTMLParser):
    """The tags of a piece of HTML, its texts, and its images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.images: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.images += [value or "" for name, value in attributes if name == "src"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_verdict_and_map_small(model_path: Path) -> None:
    image = np.tile(with_defect(texture(101)), (12, 14))
    found = onlygood.Inspector(model_path)(image, name=HOSTILE)
    page = Page(found._repr_html_())
    assert page.tags == ["div", "b", "div", "div", "img"]  # the image is of another size and aspect ratio
    assert page.texts[0] == "<script>alert('x')</script> & \\udce4.png"
    assert f"anomalous, score {found.score:+.4g}, p-value {found.p_value:.2g}" in page.texts[1]
    head, data = page.images[0].split(",")
    assert head == "data:image/png;base64"
    drawn = Image.open(io.BytesIO(base64.b64decode(data)))
    assert drawn.format == "PNG"
    assert drawn.size == (2 * 320 + 4, round(320 * 12 / 14))
    found._repr_html_().encode()  # a notebook is text


def test_a_notebook_shows_the_product_that_was_chosen(model_path: Path, tmp_path: Path) -> None:
    add_model(tmp_path / "models", "<b>bolt</b>", model_path)
    page = Page(onlygood.Products(tmp_path / "models")(texture(100), name="a.png")._repr_html_())
    assert page.tags == ["div", "div", "b", "img"]
    assert page.texts[0] == "product <b>bolt</b>"


def test_without_a_map_a_notebook_shows_the_verdict_alone(model_path: Path) -> None:
    found = onlygood.Inspector(model_path, with_map=False)(texture(100), name="a.png")
    assert found.pixels is None
    assert Page(found._repr_html_()).tags == ["div", "b"]


def test_figures_are_a_table_in_a_notebook(evaluation: Evaluation) -> None:
    page = Page(evaluation._repr_html_())
    assert page.tags[0] == "table" and page.tags.count("tr") == 1 + 1 + 5
    assert page.texts[:9] == ["good", "anomalous", "AUROC", "missed", "false alarms", "all", "500", "500", "0.980"]
    assert page.texts[9:11] == ["10 (0.020)", "10 (0.020)"]
    assert "<b>defect 0</b>" in page.texts
    assert evaluation.guarantee is not None and page.texts[-1] == evaluation.guarantee.sentence


def test_models_say_in_a_notebook_what_was_learned_and_is_guaranteed(model: onlygood.Model) -> None:
    hostile = replace(model, notes=(HOSTILE,))
    page = Page(hostile._repr_html_())
    assert set(page.tags) == {"table", "tr", "th", "td"}
    rows = dict(zip(page.texts[::2], page.texts[1::2], strict=True))
    assert list(rows) == ["Model", "learned from", "guarantee", "note", "threshold"]
    assert rows["learned from"] == "16 good images"
    assert rows["guarantee"] == " ".join(model.guarantee.sentences)
    assert rows["note"].startswith("<script>")
    assert rows["threshold"] == model.deciding
    other = Page(onlygood.calibrate(model, false_alarm_rate=0.2)._repr_html_())
    assert other.texts[0] == "CalibratedModel" and "threshold" not in other.texts


def test_a_heat_map_is_the_one_that_the_command_line_draws(
    run: Any, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    run("inspect", model_path, new_folder, "--heatmaps", tmp_path)
    for found in onlygood.Inspector(model_path).map(new_folder):
        assert isinstance(found, onlygood.Inspection)
        drawn = Image.open(tmp_path / heatmap_paths([found.name])[found.name])
        np.testing.assert_array_equal(found.heatmap(), drawn)


def test_a_heat_map_of_sixteen_bits_is_seen_through_the_models_window(sixteen_bit_model: onlygood.Model) -> None:
    inspector = onlygood.Inspector(sixteen_bit_model)
    image = twelve_bit(0)
    found = inspector(image)
    black, white = inspector.window
    expected = np.clip((image - black) * 255.0 / (white - black), 0, 255)
    np.testing.assert_allclose(np.asarray(found.heatmap())[:, : image.shape[1], 0], expected, atol=1.01)
    assert re.match("<div>.*<img", found._repr_html_())


def test_pixels_are_kept_with_a_map_and_given_up_with_it(model_path: Path) -> None:
    image = texture(100)[:, :, None]
    found = onlygood.Inspector(model_path)(image, name="a.png")
    assert found.pixels is not None and np.shares_memory(found.pixels.image, image), "no copy is made for it"
    without = found.without_map()
    assert without.pixels is None and without.anomaly_map is None
    assert without.to_dict() == found.to_dict()
    with pytest.raises(SettingError, match=r"a heat map needs the anomaly map of a\.png, got an inspection without"):
        without.heatmap()
