"""The history: filters, keys, feedback, pages of it, and exports; and the page of one inspection."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onlygood.errors import StoreError
from onlygood.station.web.pages.history_pages import PAGE_LENGTH
from tests.station.pages.conftest import PATCH, fill, say
from tests.station.server import Running, good_png, running


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", models={"part": PATCH}) as found:
        yield found


def names(page: Any) -> list[str]:
    return [each.rpartition(" ")[2] for each in page.locator(".shot .name").all_inner_texts()]


def test_filters_narrow_what_is_shown_and_stand_in_the_address(
    station: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    ids = fill(station)
    say(station, ids[1], "good")
    page = open_page(f"{station.url}/history")
    expect(page.locator(".shot")).to_have_count(10)
    page.select_option("select[name=verdict]", "anomalous")
    expect(page.locator(".shot")).to_have_count(4)
    assert names(page) == ["part-07.png", "part-05.png", "part-03.png", "part-01.png"]
    page.wait_for_url("**/history?verdict=anomalous")
    page.select_option("select[name=label]", "good")
    expect(page.locator(".shot")).to_have_count(1)
    page.fill("#name", "part-05")
    expect(page.locator(".nothing")).to_contain_text("Nothing was found")
    # The address alone brings the same, as does going back.
    page.goto(f"{station.url}/history?verdict=anomalous&name=part-05")
    assert names(page) == ["part-05.png"]
    assert page.input_value("#name") == "part-05"
    assert page.input_value("select[name=verdict]") == "anomalous"


def test_keys_go_through_the_images_and_say_what_they_are(
    station: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    ids = fill(station, good=2, anomalous=2)
    page = open_page(f"{station.url}/history")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".shot.current")).to_have_attribute("data-id", str(ids[2]))
    page.keyboard.press("d")
    expect(page.locator(f"#said-{ids[2]}")).to_contain_text("a person said: defect")
    # A button that was pressed keeps the focus.
    defect = page.get_by_role("button", name=f"Defect: inspection {ids[0]}", exact=True)
    defect.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#said-{ids[0]}")).to_contain_text("a person said: defect")
    expect(defect).to_be_focused()
    page.locator(f"#shot-{ids[2]} a").focus()
    page.keyboard.press("k")
    page.keyboard.press("g")
    expect(page.locator(f"#said-{ids[3]}")).to_contain_text("a person said: good")
    labels = {id: station.station.inspection(id).feedback for id in ids}
    assert [None if each is None else each.label for each in labels.values()] == ["defect", None, "defect", "good"]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/history/{ids[3]}")
    expect(page.locator("h1")).to_contain_text("anomalous")
    expect(page.locator("#map")).to_have_attribute("data-is-drawn", "yes")
    page.keyboard.press("d")
    expect(page.locator(".said-part")).to_contain_text("a person said: defect")
    page.keyboard.press("j")
    page.wait_for_url(f"**/history/{ids[2]}")
    expect(page.locator("#map")).to_have_attribute("data-is-drawn", "yes")
    page.keyboard.press("u")
    page.wait_for_url("**/history")


def test_older_images_come_as_one_scrolls(station: Running, open_page: Callable[..., Any], expect: Any) -> None:
    fill(station, good=PAGE_LENGTH + 2, anomalous=0)
    page = open_page(f"{station.url}/history")
    assert page.locator(".shot").count() == PAGE_LENGTH
    page.locator(".shot").last.scroll_into_view_if_needed()
    expect(page.locator(".shot")).to_have_count(PAGE_LENGTH + 2)
    expect(page.locator(".grid .more")).to_have_count(0)


def test_exports_give_what_is_shown(station: Running, open_page: Callable[..., Any], expect: Any) -> None:
    ids = fill(station)
    say(station, ids[1], "defect")
    say(station, ids[0], "good")
    page = open_page(f"{station.url}/history")
    page.select_option("select[name=verdict]", "anomalous")
    expect(page.locator(".shot")).to_have_count(4)
    with page.expect_download() as download:
        page.click("#csv")
    content = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert [row["name"] for row in csv.DictReader(io.StringIO(content))] == [
        "part-01.png", "part-03.png", "part-05.png", "part-07.png",
    ]  # fmt: skip
    with page.expect_download() as download:
        page.click("#zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        images = [name for name in archive.namelist() if name.endswith(".png")]
    assert len(images) == 1
    assert "/test/defect/" in images[0]


def test_what_an_image_is_sent_as_can_be_saved_again(station: Running) -> None:
    answer = station.client.post(
        "/v1/models/part/inspect?name=a.png", content=good_png(), headers={"Content-Type": "image/png"}
    )
    id = answer.json()["results"][0]["inspection"]["id"]
    saved = station.client.get(f"/history/{id}/file")
    assert saved.content == good_png()
    assert saved.headers["content-disposition"].startswith("attachment")
    assert station.client.get(f"/history/{id}/picture").content[:3] == b"\xff\xd8\xff"


def test_bad_filters_are_refused_in_a_sentence(station: Running) -> None:
    for query, said in (
        ("verdict=great", "a verdict must be one of good, anomalous, got 'great'"),
        ("label=perhaps", "a label must be one of good, defect, got 'perhaps'"),
        ("since=yesterday", "a day must be given as YYYY-MM-DD, got 'yesterday'"),
        ("before=0", "before in the query must be greater than or equal to 1"),
    ):
        answer = station.client.get(f"/history?{query}")
        assert answer.status_code == 422
        assert said in answer.text


def test_a_day_that_no_calendar_has_a_next_one_of_is_refused_in_a_sentence(station: Running) -> None:
    answer = station.client.get("/history?until=9999-12-31")
    assert (answer.status_code, answer.text[:15]) == (422, "a day must be g")


@pytest.mark.parametrize("kind", ["csv", "zip"])
def test_an_export_that_cannot_begin_is_refused_in_a_sentence(
    station: Running, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def away(**_: object) -> Iterator[str]:
        raise StoreError("the database must answer, got no connection to it: start it")
        yield ""

    inspections = station.station.store.inspections
    monkeypatch.setattr(type(inspections), "export_csv" if kind == "csv" else "mvtec_zip", staticmethod(away))
    answer = station.client.get(f"/history/export.{kind}")
    assert (answer.status_code, answer.text) == (500, "the database must answer, got no connection to it: start it")
