import base64
import csv
import io
import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood.evaluation.evaluate import Evaluation, evaluate
from onlygood.evaluation.figures import ImageFigures
from onlygood.evaluation.rates import GuaranteeCheck, check_sentence
from onlygood.metrics.costs import OperatingPoint
from onlygood.metrics.image import exact_proportion
from onlygood.report import charts, evaluation_report, score_charts, svg, write_evaluation_report
from onlygood.report.formatting import format_area, format_p_value, percent_notation, score_format
from page_reader import Element, check_page, no_drawing, section
from textures import DEFECT, Array, save, texture, twelve_bit, with_defect

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DASH = "\N{EN DASH}"
SHARES = percent_notation([0.01, 0.05, 0.1])


@pytest.fixture(scope="module")
def inspector(model: onlygood.Model) -> onlygood.Inspector:
    return onlygood.Inspector(model, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good images in two lots, three clear defects with masks, and one that nobody can see, labelled a dent."""
    root = tmp_path_factory.mktemp("labelled")
    images = {f"test/good/lot{number % 2}/{number}.png": texture(200 + number) for number in range(6)}
    images |= {f"test/hole/lot1/{number}.png": with_defect(texture(300 + number)) for number in range(3)}
    images["test/dent/lot1/9.png"] = texture(310)
    mask = np.zeros((96, 96), np.uint8)
    mask[DEFECT] = 255
    masks = {f"ground_truth/hole/lot1/{number}_mask.png": mask for number in range(3)}
    save(root, images | masks)
    return root


@pytest.fixture(scope="module")
def evaluation(inspector: onlygood.Inspector, folder: Path) -> Evaluation:
    return evaluate(
        inspector, folder, group_by="folder", cost_false_alarm=1, cost_miss=10, anomaly_share=0.01, threads=1
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, evaluation: Evaluation, inspector: onlygood.Inspector) -> Element:
    """The page of `evaluation`, after the checks of all pages."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_evaluation_report(path, evaluation, inspector, model_name="part.onnx", threads=1, written_at=NOON)
    return check_page(path.read_bytes())


Write = Callable[..., Element]


@pytest.fixture
def write(tmp_path: Path, inspector: onlygood.Inspector, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a report without drawing its charts, checks what holds of every page, and returns its tree."""
    for module in (charts, score_charts, svg):
        monkeypatch.setattr(module, "figure_as_svg", no_drawing)

    def written(evaluation: Evaluation, inspector: onlygood.Inspector = inspector, **keywords: Any) -> Element:
        settings = {"model_name": "part.onnx", "threads": 1, "written_at": NOON, **keywords}
        write_evaluation_report(tmp_path / "report.html", evaluation, inspector, **settings)
        return check_page((tmp_path / "report.html").read_bytes())

    return written


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def cells(table: Element) -> list[list[str]]:
    return [[cell.text for cell in row.children] for row in table.one("tbody").all("tr")]


def cards(page: Element, heading: str) -> list[Element]:
    """The cards that follow a heading of the gallery."""
    children = section(page, "images").children
    place = next(number for number, child in enumerate(children) if child.attributes.get("id") == heading)
    following = children[place + 1]
    return following.all("li") if following.tag == "ul" else []


def named(page: Element, heading: str) -> list[str]:
    return [card.one("bdi", class_="name").text for card in cards(page, heading)]


def image_of(element: Element) -> Array:
    data = base64.b64decode(element.attributes["src"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


# What it says


def test_the_verdict_comes_first_and_counts_what_was_found_missed_and_refused(
    page: Element, evaluation: Evaluation
) -> None:
    first = page.one("main").children[0]
    assert first is section(page, "verdict")
    assert [child.tag for child in first.children[:2]] == ["h2", "p"]
    found = sum(each.is_anomaly and each.labelled.is_anomalous for each in evaluation.images)
    refused = sum(each.is_anomaly and not each.labelled.is_anomalous for each in evaluation.images)
    assert found == 3, "what this material makes of it"
    assert first.children[1].text == (
        f"Of 4 anomalous images, 3 were found and 1 was missed. Of 6 good images, {refused} "
        f"{'was' if refused == 1 else 'were'} refused."
    )


def test_the_verdict_has_exact_intervals_and_the_guarantee_beside_what_was_observed(
    page: Element, evaluation: Evaluation
) -> None:
    assert evaluation.guarantee is not None and evaluation.image.misses is not None
    verdict = section(page, "verdict")
    tiles = [tile.text for tile in verdict.one("dl").children]
    misses, alarms = evaluation.image.misses, evaluation.guarantee.observed
    for tile, share in zip(tiles, (misses, alarms), strict=False):
        assert f"{share.events} of {share.trials}" in tile
        low, high = SHARES.share(share.low, 3), SHARES.share(share.high, 3)
        assert f"{SHARES.share(share.value, 3)}, exact 95% interval {low} to {high}" in tile
    assert "at most " + SHARES.at_most(evaluation.guarantee.stated_rate) in tiles[2]
    check = evaluation.guarantee
    said = check_sentence(evaluation.metadata, check.observed, check.verdict, SHARES)
    assert verdict.one("p", class_="status").text == said
    assert "%" in said and "0.0" not in said.replace("0.0%", "")


@pytest.mark.parametrize("word", ["confirmed", "consistent", "contradicted"])
def test_the_word_on_the_guarantee_is_on_the_page(write: Write, evaluation: Evaluation, word: str) -> None:
    guarantee = GuaranteeCheck(
        stated_rate=0.01, observed=exact_proportion(30, 100), verdict=word, sentence=f"It is {word}: so."
    )
    verdict = section(write(replace(evaluation, guarantee=guarantee)), "verdict")
    status = verdict.one("p", class_="status")
    assert status.attributes["class"] == f"status {word}"
    assert {"consistent": "not contradicted", "contradicted": "CONTRADICTED"}.get(word, word) in status.text
    assert "30 of 100 good images were called anomalous, 30.0% (95% interval 21.2% to 40.0%)" in status.text
    joint = "with" if word == "consistent" else "by"
    assert f"{word} {joint} these images" in verdict.one("dl").text


def test_every_share_of_the_page_is_percent_in_one_precision(page: Element) -> None:
    said = " ".join(each.text for each in page.one("main").all("p", "td", "th", "dd", "li", "caption"))
    shares = set(re.findall(r"[\d.]+%", said)) - {"95%"}
    assert len(shares) > 10 and {"10.0%", "25.0%", "100.0%"} <= shares
    assert all(re.fullmatch(r"\d+\.\d%", share) for share in shares), shares
    assert not re.search(r"rate (of|asked for,?) 0\.|of 0\.\d+ of|interval 0\.\d+ to 0\.\d+[^\d.]*anomalous", said)


def test_notes_stand_with_the_verdict(page: Element, evaluation: Evaluation) -> None:
    assert any("no mask" in note for note in evaluation.notes), "the dent has none"
    notes = section(page, "verdict").one("ul", class_="notes")
    assert [note.text for note in notes.all("li")] == list(evaluation.notes)


def test_the_figures_are_those_of_the_evaluation(page: Element, evaluation: Evaluation) -> None:
    image, pixel = evaluation.image, evaluation.pixel
    assert image.auroc is not None and image.average_precision is not None and image.f1_max is not None
    assert image.misses is not None and image.false_alarms is not None and pixel is not None
    rows = {row[0]: row[1:3] for row in cells(section(page, "figures").one("table"))}
    assert rows == {
        "Misses": [
            SHARES.share(image.misses.value, 3),
            f"{SHARES.share(image.misses.low, 3)} to {SHARES.share(image.misses.high, 3)}",
        ],
        "False alarms": [
            SHARES.share(image.false_alarms.value, 3),
            f"{SHARES.share(image.false_alarms.low, 3)} to {SHARES.share(image.false_alarms.high, 3)}",
        ],
        "AUROC": [format_area(image.auroc.value), f"{format_area(image.auroc.low)} to {format_area(image.auroc.high)}"],
        "Average precision": [format_area(image.average_precision), DASH],
        "Best F1": [format_area(image.f1_max.value), DASH],
        "Pixel AUROC": [format_area(pixel.metrics.pixel_auroc), DASH],
        "Pixel average precision": [format_area(pixel.metrics.pixel_average_precision), DASH],
        "AUPRO": [format_area(pixel.metrics.aupro), DASH],
    }


def test_each_type_of_defect_has_a_row(page: Element, evaluation: Evaluation) -> None:
    rows = cells(section(page, "defects").one("table"))
    hole = evaluation.per_defect["hole"]
    assert hole.auroc is not None
    assert [(row[0], row[1]) for row in rows] == [("dent", "0 of 1"), ("hole", "3 of 3")]
    assert rows[1][4:] == [
        format_area(hole.auroc.value),
        f"{format_area(hole.auroc.low)} to {format_area(hole.auroc.high)}",
    ]


def test_each_session_has_a_row_with_a_dash_for_what_cannot_be_had(page: Element, evaluation: Evaluation) -> None:
    rows = cells(section(page, "sessions").one("table"))
    assert [row[0] for row in rows] == ["lot0", "lot1"]
    assert rows[0][-2:] == [DASH, DASH], "lot0 has good images only"
    assert rows[1][4] == "1 of 4"


def test_each_rate_has_a_row_with_misses_and_false_alarms(page: Element, evaluation: Evaluation) -> None:
    show = score_format([each.score for each in evaluation.images])
    expected = []
    for outcome in evaluation.at_rates:
        misses, alarms = outcome.misses, outcome.false_alarms
        assert misses is not None and alarms is not None
        row = [
            f"{SHARES.share(outcome.requested_rate, 6)}{' (own)' if outcome.is_own else ''}",
            SHARES.at_most(outcome.guaranteed_rate),
            show(outcome.threshold),
        ]
        for share in (misses, alarms):
            row.append(f"{share.events} of {share.trials} ({SHARES.share(share.value, 3)})")
            row.append(f"{SHARES.share(share.low, 3)} to {SHARES.share(share.high, 3)}")
        expected.append(row)
    rates = section(page, "rates")
    assert cells(rates.one("table")) == expected
    assert [row[0] for row in expected] == ["1.0%", "5.0%", "10.0% (own)"]
    assert "measured on the test images" in rates.text
    assert "so approximately, since the calibration scores are by leave-one-out" in rates.text


def test_the_curve_of_misses_says_in_words_what_is_marked_on_it(page: Element, evaluation: Evaluation) -> None:
    charts = section(page, "rates").all("svg")
    assert {svg.one("title").text for svg in charts} == {"Misses against false alarms"}
    own = next(outcome for outcome in evaluation.at_rates if outcome.is_own)
    assert own.misses is not None and own.false_alarms is not None
    for chart in charts:
        said = chart.one("desc").text
        assert said.startswith("Measured on the test images, over all thresholds. At a false-alarm rate of 1.0% ")
        assert (
            f"At the model's threshold, for a false-alarm rate of 10.0% {own.misses.events} of 4 anomalous images are "
            f"missed and {own.false_alarms.events} of 6 good images are called anomalous."
        ) in said


def test_the_sentence_on_misses_stands_with_the_verdict_where_there_is_one(
    write: Write, evaluation: Evaluation
) -> None:
    own = replace(
        evaluation.at_rates[0], is_own=True, misses=exact_proportion(3, 4), false_alarms=exact_proportion(0, 6)
    )
    more = replace(
        evaluation.at_rates[1], misses=exact_proportion(1, 4), false_alarms=exact_proportion(2, 6), is_own=False
    )
    changed = replace(evaluation, at_rates=(own, more))
    said = changed.miss_sentence_in(SHARES)
    assert said is not None and "At a rate of 5.0%" in said
    assert changed.miss_sentence is not None and "At a rate of 0.05" in changed.miss_sentence
    assert said in section(write(changed), "verdict").text
    nothing = replace(evaluation, at_rates=(own,))
    assert nothing.miss_sentence is None
    assert "are missed." not in section(write(nothing), "verdict").text


def test_a_model_that_was_calibrated_again_says_so(write: Write, model: onlygood.Model, folder: Path) -> None:
    inspector = onlygood.Inspector(model, threads=1, false_alarm_rate=0.3)
    page = write(evaluate(inspector, folder, threads=1), inspector)
    facts = dict(cells(section(page, "model").one("table")))
    assert facts["Threshold"] == (
        "Calibrated again for a false-alarm rate of 30.0% (before: 10.0%) from 16 calibration scores in the model; the "
        f"model before has the digest {model.metadata.content_sha256[:12]}."
    )
    assert facts["Requested"] == "a false-alarm rate of 30.0%"


def test_more_sessions_than_a_page_holds_are_counted(write: Write, evaluation: Evaluation) -> None:
    many = {f"lot{number:04}": evaluation.per_session["lot1"] for number in range(250)}
    sessions = section(write(replace(evaluation, per_session=many, per_defect={})), "sessions")
    assert len(cells(sessions.one("table"))) == evaluation_report.LISTED_GROUPS == 100
    assert "150 more are in report.csv." in sessions.text


def test_the_advice_on_cost_is_given_if_there_is_one(write: Write, evaluation: Evaluation) -> None:
    assert evaluation.advice is not None
    page = write(evaluation)
    cost = section(page, "cost")
    assert evaluation.advice.sentence_in(SHARES) in cost.text and "with 1.0% of them anomalous" in cost.text
    assert cells(cost.one("table"))[0][:2] == ["the model's own", "0"]
    nothing = OperatingPoint(threshold=math.inf, false_alarm_rate=0.0, miss_rate=1.0, cost_per_thousand=100.0)
    page = write(replace(evaluation, advice=replace(evaluation.advice, cheapest=nothing)))
    assert cells(section(page, "cost").one("table"))[1] == ["cheapest here", "+∞", "0.0%", "100.0%", "100"]
    page = write(replace(evaluation, advice=None))
    assert not [each for each in page.all("section") if each.attributes["aria-labelledby"] == "cost"]


def test_the_model_the_machine_and_its_time_are_described(page: Element, evaluation: Evaluation) -> None:
    facts = dict(cells(section(page, "model").one("table")))
    metadata = evaluation.metadata
    assert facts["File"] == "part.onnx"
    assert facts["False alarms"] == " ".join(metadata.guarantee.sentences_in(SHARES))
    assert facts["Digest of the model"] == metadata.content_sha256
    assert facts["Takes"] == "uint8, grey, any size, levels 0 to 255"
    median, high = evaluation.latency_ms
    time = section(page, "time").text
    assert f"took {median:.1f} ms an image" in time and f"at most {high:.1f} ms" in time
    assert "onnxruntime" in time and f"{os.cpu_count()} core" in time


def test_the_page_bears_its_date(write: Write, evaluation: Evaluation, tmp_path: Path) -> None:
    assert write(evaluation).one("time").attributes["datetime"] == "2026-03-01T12:00:00+00:00"
    before = datetime.now().astimezone().replace(microsecond=0)
    now = write(evaluation, written_at=None).one("time").attributes["datetime"]
    assert before <= datetime.fromisoformat(now) <= datetime.now().astimezone()


# Charts


def test_histogram_and_curves_say_in_words_what_they_show(page: Element, evaluation: Evaluation) -> None:
    assert evaluation.image.auroc is not None
    charts = {svg.one("title").text: svg.one("desc").text for svg in section(page, "scores").all("svg")}
    assert set(charts) == {"Scores of the images", "Receiver operating characteristic", "Precision and recall"}
    assert "3 of 4 anomalous images lie above the threshold" in charts["Scores of the images"]
    assert format_area(evaluation.image.auroc.value) in charts["Receiver operating characteristic"]
    assert "75.0% of the anomalous" in charts["Receiver operating characteristic"]


@pytest.mark.parametrize("kind", ["good", "anomalous"])
def test_with_images_of_one_kind_a_sentence_takes_the_place_of_what_cannot_be_had(
    write: Write, inspector: onlygood.Inspector, folder: Path, tmp_path: Path, kind: str
) -> None:
    sources = sorted((folder / "test" / ("good" if kind == "good" else "hole")).rglob("*.png"))
    listed = tmp_path / "list.csv"
    listed.write_text("path,label\n" + "".join(f"{path},{'good' if kind == 'good' else 'bad'}\n" for path in sources))
    evaluation = evaluate(inspector, listed, threads=1)
    page = write(evaluation)
    scores = section(page, "scores")
    assert f"ROC and precision-recall need good and anomalous images; here there are only {kind} ones." in scores.text
    assert {svg.one("title").text for svg in scores.all("svg")} == {"Scores of the images"}
    rates = section(page, "rates")
    assert f"needs good and anomalous images; here there are only {kind} ones." in rates.text
    assert [row.count(DASH) for row in cells(rates.one("table"))] == [1, 1, 1] and not rates.all("svg")
    figures = section(page, "figures")
    assert [row[0] for row in cells(figures.one("table"))] == ["False alarms" if kind == "good" else "Misses"]
    assert "that needs masks" in figures.text
    identifiers = {element.attributes["id"] for element in page.all("h2", "h3") if "id" in element.attributes}
    assert ("alarms" in identifiers) == (kind == "good")
    assert ("finds" in identifiers) == ("misses" in identifiers) == (kind == "anomalous")
    verdict = section(page, "verdict")
    if kind == "anomalous":
        assert "not checked: no good images" in verdict.text
        assert not verdict.all("p", class_="status")


def test_a_model_that_refuses_nothing_has_no_point_on_the_curve_of_precision(
    write: Write, evaluation: Evaluation
) -> None:
    kept = [replace(each, is_anomaly=False, score=each.score - 1e6) for each in evaluation.images]
    figures = replace(evaluation.image, false_alarms=exact_proportion(0, 6), misses=exact_proportion(4, 4))
    page = write(replace(evaluation, images=tuple(kept), image=figures))
    descriptions = {svg.one("title").text: svg.one("desc").text for svg in page.all("svg")}
    assert "the model refuses no image." in descriptions["Precision and recall"]
    assert "No anomalous image was found." in section(page, "images").text


# Gallery


def test_the_worst_false_alarms_the_worst_misses_and_the_clearest_finds_are_shown_in_order(
    write: Write, evaluation: Evaluation
) -> None:
    turned = [replace(each, is_anomaly=True) if not each.labelled.is_anomalous else each for each in evaluation.images]
    page = write(replace(evaluation, images=tuple(turned)))
    score = {each.labelled.name: each.score for each in turned}
    alarms = [name for name in score if name.startswith("good")]
    assert named(page, "alarms") == sorted(alarms, key=lambda name: -score[name])
    assert named(page, "misses") == ["dent/lot1/9.png"]
    finds = [name for name in score if name.startswith("hole")]
    assert named(page, "finds") == sorted(finds, key=lambda name: -score[name])


def test_a_section_of_the_gallery_is_bounded_and_says_of_how_many(
    write: Write, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_report, "GALLERY_IMAGES", 2)
    page = write(evaluation)
    assert len(cards(page, "finds")) == 2
    assert (
        next(head for head in page.all("h3") if head.attributes.get("id") == "finds").text == "Clearest finds (2 of 3)"
    )


def test_a_card_shows_the_image_and_the_same_with_map_contour_and_mask(page: Element, evaluation: Evaluation) -> None:
    judged = max((each for each in evaluation.images if each.labelled.defect == "hole"), key=lambda each: each.score)
    card = cards(page, "finds")[0]
    plain, marked = card.all("img")
    show = score_format([each.score for each in evaluation.images])
    said = f"{judged.labelled.name}, called anomalous, score {show(judged.score)}"
    assert plain.attributes["alt"] == f"Image {said}"
    assert marked.attributes["alt"] == f"The same with its map and the labelled defect: {said}"
    text = card.one("figcaption").text
    assert "called anomalous, labelled hole" in text
    assert f"score {show(judged.score)}, p-value {format_p_value(judged.p_value)}" in text
    grey, drawn = image_of(plain), image_of(marked)
    assert grey.shape == drawn.shape == (192, 192, 3)
    assert np.ptp(grey, axis=2).max() == 0, "the image itself has no colour"
    blue = drawn[:, :, 2] - drawn[:, :, 0] > 60
    inside = np.zeros((192, 192), bool)
    inside[2 * 36 - 4 : 2 * 60 + 4, 2 * 30 - 4 : 2 * 54 + 4] = True
    assert blue.sum() > 60 and not (blue & ~inside).any(), "the mask's outline, and only there"
    assert "blue dashes" in section(page, "images").text


def test_without_masks_no_outline_is_spoken_of(write: Write, evaluation: Evaluation) -> None:
    bare = [replace(each, labelled=replace(each.labelled, mask=None)) for each in evaluation.images]
    page = write(replace(evaluation, images=tuple(bare), pixel=None))
    assert "blue dashes" not in section(page, "images").text
    assert not [image for image in page.all("img") if "labelled defect" in image.attributes["alt"]]


def test_an_inspector_without_maps_gives_images_without_them(write: Write, evaluation: Evaluation, model: Any) -> None:
    page = write(evaluation, onlygood.Inspector(model, with_map=False, threads=1))
    assert all(len(card.all("img")) == 1 for card in cards(page, "finds"))
    assert "maps were not asked for" in section(page, "images").text


def copied(folder: Path, to: Path) -> Path:
    for path in folder.rglob("*.png"):
        target = to / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return to


def test_an_image_that_is_gone_or_another_now_has_a_card_that_says_so(
    write: Write, inspector: onlygood.Inspector, folder: Path, tmp_path: Path
) -> None:
    root = copied(folder, tmp_path / "copy")
    evaluation = evaluate(inspector, root, threads=1)
    (root / "test/hole/lot1/0.png").unlink()
    (root / "test/hole/lot1/1.png").write_bytes(b"no image at all")
    Image.fromarray(with_defect(texture(302), level=255)[:, ::-1]).save(root / "test/hole/lot1/2.png")
    (root / "ground_truth/hole/lot1/2_mask.png").unlink()
    page = write(evaluation)
    text = {card.one("bdi", class_="name").text: card for card in cards(page, "finds")}
    gone = text["hole/lot1/0.png"]
    assert not gone.all("img")
    assert gone.one("span", class_="problem").text == (
        "It can no longer be read: hole/lot1/0.png does not exist: check the path."
    )
    assert "It can no longer be read: hole/lot1/1.png is a text file" in text["hole/lot1/1.png"].text
    other = text["hole/lot1/2.png"]
    assert "The file is not the one that was inspected: its score is now +" in other.one("span", class_="problem").text
    assert len(other.all("img")) == 2


def test_a_mask_that_cannot_be_used_leaves_the_image_and_says_why(
    write: Write, inspector: onlygood.Inspector, folder: Path, tmp_path: Path
) -> None:
    root = copied(folder, tmp_path / "copy")
    evaluation = evaluate(inspector, root, threads=1)
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(root / "ground_truth/hole/lot1/0_mask.png")
    card = next(card for card in cards(write(evaluation), "finds") if "hole/lot1/0.png" in card.text)
    assert len(card.all("img")) == 2
    assert card.one("span", class_="problem").text.startswith("Its mask is not shown: a mask must have the size of")


def test_a_16_bit_model_shows_its_images_through_its_window(
    write: Write, sixteen_bit_model: onlygood.Model, tmp_path: Path
) -> None:
    inspector = onlygood.Inspector(sixteen_bit_model, threads=1)
    save(tmp_path / "set", {"good/a.png": twelve_bit(50), "spot/b.png": with_defect(twelve_bit(51), 0)})
    page = write(evaluate(inspector, tmp_path / "set", threads=1), inspector)
    (card,) = cards(page, "finds")
    pixels = image_of(card.all("img")[0])
    assert pixels.max() > 150 and pixels.min() < 20, "raw levels of 500 to 2,540 would all be nearly black"


# Rows, names, files


def test_the_csv_file_has_a_row_an_image(write: Write, evaluation: Evaluation, tmp_path: Path) -> None:
    failed = replace(evaluation, unreadable=(("good/broken.png", "good/broken.png is cut short: copy it again"),))
    page = write(failed)
    rows = rows_of(tmp_path / "report.csv")
    assert list(rows[0]) == [
        *("name", "label", "defect", "session", "verdict", "score", "p_value", "differences", "latency_ms", "error")
    ]
    for row, each in zip(rows[:-1], evaluation.images, strict=True):
        assert row["name"] == each.labelled.name
        assert row["label"] == ("anomalous" if each.labelled.is_anomalous else "good")
        assert (row["defect"], row["session"]) == (each.labelled.defect, each.labelled.session)
        assert row["verdict"] == ("anomalous" if each.is_anomaly else "good")
        assert (float(row["score"]), float(row["p_value"])) == (each.score, each.p_value)
        assert float(row["latency_ms"]) == round(each.latency_ms, 3)
        assert row["error"] == ""
    assert [value for value in rows[-1].values() if value] == [
        "good/broken.png",
        "good/broken.png is cut short: copy it again",
    ]
    assert "good/broken.png is cut short: copy it again" in section(page, "unreadable").text
    assert "report.csv" in page.one("footer").text


def test_many_unreadable_images_are_counted(write: Write, evaluation: Evaluation) -> None:
    unreadable = tuple((f"{number}.png", f"{number}.png is empty: copy it again") for number in range(51))
    page = write(replace(evaluation, unreadable=unreadable))
    found = section(page, "unreadable")
    assert len(found.all("li")) == 50
    assert "1 more is in report.csv." in found.text


HOSTILE = [
    b"<script>alert(1)</script>.png",
    b'"\' onerror="alert(1).png',
    b"{{ 7 * 7 }}{% raw %}.png",
    b"]]></style><h1>.png",
    b"line\nbreak\t.png",
    "photo\u202egnp.exe.png".encode(),
    "שלום-عربى.png".encode(),
    b"bytes \xff\xfe.png",
    b"=cmd|' /C calc'!A0.png",
    b"&amp;&lt;.png",
    b"a" * 200 + b".png",
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_every_kind_are_shown_as_text_and_do_nothing(
    write: Write, inspector: onlygood.Inspector, folder: Path, tmp_path: Path
) -> None:
    hole = (folder / "test/hole/lot1/0.png").read_bytes()
    for kind in ("good", "bad"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for name in HOSTILE:
            path = tmp_path / "set" / kind / os.fsdecode(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(hole)
    evaluation = evaluate(inspector, tmp_path / "set", threads=1)
    page = write(evaluation, model_name=os.fsdecode(b"<b>\xff\n</b>.onnx"))
    content = (tmp_path / "report.html").read_bytes()
    for raw in (b"<script", b"<b>", b'onerror="', b"\xe2\x80\xae", b"<h1>."):
        assert raw not in content
    assert page.one("h1").text == "Evaluation of <b>\\udcff\\n</b>.onnx"
    shown = set(named(page, "finds"))
    assert {
        "bad/<script>alert(1)</script>.png",
        'bad/"\' onerror="alert(1).png',
        "bad/{{ 7 * 7 }}{% raw %}.png",
        "bad/]]></style><h1>.png",
        "bad/line\\nbreak\\t.png",
        "bad/photo\\u202egnp.exe.png",
        "bad/שלום-عربى.png",
        "bad/bytes \\udcff\\udcfe.png",
        "bad/&amp;&lt;.png",
    } <= shown
    assert len(shown) == len(HOSTILE)
    rows = rows_of(tmp_path / "report.csv")
    assert len(rows) == 2 * len(HOSTILE)
    assert {row["name"] for row in rows if row["defect"] == "bad"} == shown


def test_types_of_defect_sessions_and_errors_are_shown_as_text_too(write: Write, evaluation: Evaluation) -> None:
    name = "<img src=x onerror=alert(1)>\udcff"
    figures: ImageFigures = evaluation.per_defect["hole"]
    images = [replace(each, labelled=replace(each.labelled, defect=name, session=name)) for each in evaluation.images]
    page = write(
        replace(
            evaluation,
            images=tuple(images),
            per_defect={name: figures},
            per_session={name: evaluation.per_session["lot1"]},
            unreadable=((name, f"{name} is broken"), ("other.png", "it is broken")),
            notes=(name,),
        )
    )
    shown = name.replace("\udcff", "\\udcff")
    assert cells(section(page, "defects").one("table"))[0][0] == shown
    assert cells(section(page, "sessions").one("table"))[0][0] == shown
    assert [each.text for each in section(page, "unreadable").all("li")] == [
        f"{shown} is broken",
        "other.png: it is broken",
    ]


def test_the_same_evaluation_makes_the_same_files_on_any_number_of_threads(
    inspector: onlygood.Inspector, evaluation: Evaluation, tmp_path: Path
) -> None:
    for number in (1, 3):
        write_evaluation_report(
            tmp_path / f"{number}.html", evaluation, inspector, model_name="m", threads=number, written_at=NOON
        )
    one, three = ((tmp_path / f"{number}.html").read_bytes() for number in (1, 3))
    assert one.replace(b"1.csv", b"3.csv") == three
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "3.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.csv", "1.html", "3.csv", "3.html"]


def test_nothing_is_written_where_the_threads_cannot_be_had(
    inspector: onlygood.Inspector, evaluation: Evaluation, tmp_path: Path
) -> None:
    with pytest.raises(onlygood.SettingError, match=re.escape("threads must be 0 (one a core) or more, got -1")):
        write_evaluation_report(tmp_path / "r.html", evaluation, inspector, model_name="m", threads=-1)
    assert list(tmp_path.iterdir()) == []
