"""Models: upload, swap, compare, roll back; review: what is learned from; the guarantee; settings and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import onlygood
from onlygood.station.station_settings import StationSettings
from tests.station.pages.conftest import PATCH, accessibility_problems, camera_image, fill, layout_problems, say
from tests.station.server import MODELS, Running, running


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data", models={"part": PATCH}) as found:
        yield found


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("refusing") / "data", models={"part": PATCH}) as found:
        yield found


def test_a_model_is_uploaded_swapped_compared_and_rolled_back(
    station: Running, open_page: Callable[..., Any], expect: Any, tmp_path: Path
) -> None:
    fill(station)
    stricter = tmp_path / "part.onnx"
    onlygood.calibrate(PATCH, threshold=-1000).save(stricter)
    page = open_page(f"{station.url}/models", expects=("422",))
    page.set_input_files("#file", [{"name": "part.onnx", "mimeType": "", "buffer": b"no model"}])
    page.click("text=Upload >> visible=true >> nth=-1")
    expect(page.locator(".notice.problem")).to_be_visible()
    assert station.station.models.get("part").version.number == 1  # the old one goes on
    page.set_input_files("#file", stricter)
    page.fill("#note", "stricter")
    page.click("#upload-form button")
    page.wait_for_url("**/models/part")
    expect(page.locator("tr.active")).to_contain_text("stricter")
    page.click("#compare-title ~ form button")
    expect(page.locator(".comparison .lead")).to_contain_text("6 of 10 images change their verdict")
    assert page.locator(".comparison .shot").count() == 6
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("text=Roll back to it")
    expect(page.locator("tr.active th")).to_have_text("1")
    assert station.station.models.get("part").version.number == 1


def test_false_alarms_marked_good_wait_in_the_review_list_and_are_learned_from(
    tmp_path: Path, camera_model: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    with running(tmp_path / "data", models={"part": camera_model}) as station:
        ids = []
        for seed in (500, 501, 502):
            answer = station.client.post(
                f"/v1/models/part/inspect?name={seed}.jpg",
                content=camera_image(seed, is_good=False),
                headers={"Content-Type": "image/jpeg"},
            )
            ids.append(answer.json()["results"][0]["inspection"]["id"])
            say(station, ids[-1], "good")
        page = open_page(f"{station.url}/review")
        assert page.inner_text("nav.wide .badge").startswith(("3", ","))
        expect(page.locator(".shot")).to_have_count(3)
        page.locator(f"#shot-{ids[2]} >> text=A defect after all").click()
        expect(page.locator(".shot")).to_have_count(2)
        page.reload()
        page.click("text=Learn from 2 images")
        expect(page.locator("#job")).to_have_attribute("data-state", "done")
        active = station.station.store.models.active("part")
        assert active is not None
        assert (active.number, active.origin) == (2, "update")
        expect(page.locator(".shot")).to_have_count(0)
        page.reload()
        expect(page.locator(".nothing")).to_contain_text("Nothing waits")


def test_the_guarantee_is_held_against_what_people_marked(
    station: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    ids = fill(station)
    page = open_page(f"{station.url}/guarantee")
    expect(page.locator(".verdict-word")).to_have_text("not contradicted")
    for id in ids[1:8:2]:
        say(station, id, "good")
    say(station, ids[0], "defect")
    page.reload()
    expect(page.locator(".verdict-word")).to_have_text("contradicted")
    counts = dict(
        zip(page.locator(".counts dt").all_inner_texts(), page.locator(".counts dd").all_inner_texts(), strict=True)
    )
    assert counts == {
        "False alarms, marked": "4", "Alarms that nobody marked": "0", "Marked as defects": "1", "Misses, marked": "1",
    }  # fmt: skip
    assert page.locator(".shot").count() == 5


def test_the_drift_test_begins_again_when_a_person_has_settled_the_cause(station: Running) -> None:
    fill(station)
    (before,) = station.station.drift_statuses()
    assert "10 of the 50 images" in before.sentence
    answer = station.client.post("/drift/part/settle", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    (after,) = station.station.drift_statuses()
    assert "0 of the 50 images" in after.sentence and "10 of the 50" not in after.sentence
    unknown = station.client.post("/drift/prat/settle", headers={"HX-Request": "true"})
    assert unknown.status_code == 404
    assert unknown.headers["HX-Retarget"] == "#notices"
    assert "prat" in unknown.text


def test_a_source_is_added_watched_and_removed(
    station: Running, open_page: Callable[..., Any], expect: Any, tmp_path: Path
) -> None:
    page = open_page(f"{station.url}/settings", expects=("422",))
    page.click("text=A folder of images")
    form = page.locator("details[open] form")
    form.locator("[name=path]").fill(str(tmp_path))
    form.locator("[name=name]").fill("page")
    form.locator("button").click()
    expect(page.locator(".notice.problem")).to_contain_text("must not be named")
    form.locator("[name=name]").fill("incoming")
    form.locator("[name=model]").select_option("part")
    form.locator("[name=m]").fill("2")
    form.locator("button").click()
    row = page.locator(".rows .row", has_text="incoming")
    expect(row).to_contain_text("alarm at 2 of 5")
    source = station.station.settings.sources[0]
    assert (source.kind, source.name, source.model, source.alarm.m) == ("folder", "incoming", "part", 2)
    page.goto(f"{station.url}/health")
    expect(page.locator("#health")).to_contain_text("incoming")
    page.goto(f"{station.url}/settings")
    page.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    assert station.station.settings.sources == ()


@pytest.mark.parametrize(
    ("path", "form", "status", "said"),
    [
        ("settings/sources", {"kind": "camera"}, 422, "name of a source must be given, got nothing"),
        (
            "settings/sources",
            {"kind": "lidar", "name": "a"},
            422,
            "one of the kinds camera, rtsp, video, genicam, folder",
        ),
        ("settings/sources", {"kind": "camera", "name": "a", "width": "-1"}, 422, "width of a source must be greater"),
        (
            "settings/sources",
            {"kind": "camera", "name": "a", "m": "9", "n": "2"},
            422,
            "m must be at most n, got 9 of 2",
        ),
        ("settings/sources/none/remove", {}, 404, "got 'none'"),
        ("settings/tokens/none/remove", {}, 404, "got 'none'"),
        ("sources/none/start", {}, 404, "got 'none'"),
        ("models/part/activate", {"number": "7"}, 404, "model part has no version 7"),
        ("review/part/update", {}, 422, "an update of part needs false alarms that are marked good"),
        ("teach/part/fit", {"rate": "2"}, 422, "a false-alarm rate must be between 0 and 1, got 2"),
        ("teach/part/fit", {"rate": "0.05"}, 422, "a fit of part needs good images that it is taught with, got none"),
        ("teach", {"model": "../part"}, 422, "a name must be 1 to 64 letters"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    refusing: Running, path: str, form: dict[str, str], status: int, said: str
) -> None:
    answer = refusing.client.post(f"/{path}", data=form, headers={"Accept": "application/json"})
    assert answer.status_code == status
    assert said in answer.text


def test_the_first_token_closes_the_station_to_all_who_have_none(
    station: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    page = open_page(f"{station.url}/settings", expects=("422",))
    form = page.locator("#tokens ~ form")
    form.locator("[name=name]").fill("line-1")
    form.locator("[name=right]").select_option("inspect")
    form.locator("button").click()
    expect(page.locator(".notice.problem")).to_contain_text("must have the right to manage")
    form.locator("[name=right]").select_option("manage")
    form.locator("button").click()
    secret = page.inner_text(".secret")
    # This browser has it already; another one is asked for it, and so is a program.
    page.goto(f"{station.url}/models")
    assert "line-1" in page.inner_text(".tools")
    assert station.client.get("/v1/models").status_code == 401
    other = open_page(f"{station.url}/history?verdict=good", expects=("401",))
    other.wait_for_url("**/login?next=**")
    other.fill("#token", "not the token")
    other.keyboard.press("Enter")
    expect(other.locator(".notice.problem")).to_contain_text("is not one of this station's")
    other.fill("#token", secret)
    other.keyboard.press("Enter")
    other.wait_for_url("**/history**")
    other.click("[data-logout]")
    other.wait_for_url("**/login")


def test_who_may_only_inspect_is_offered_nothing_else(
    tmp_path: Path, open_page: Callable[..., Any], expect: Any
) -> None:
    from onlygood.station.station_settings import Token
    from onlygood.station.web.tokens import new_token

    boss, eye = new_token(), new_token()
    tokens = (
        Token(name="boss", sha256=boss[1], right="manage"),
        Token(name="eye", sha256=eye[1], right="inspect"),
    )
    (tmp_path / "data").mkdir()
    settings = StationSettings(tokens=tokens)
    with running(tmp_path / "data", settings, models={"part": MODELS / PATCH.name}, token=boss[0]) as station:
        ids = fill(station, good=1, anomalous=1)
        page = open_page(f"{station.url}/login?next=/history", 390, scheme="dark", expects=("403",))
        assert [*layout_problems(page), *accessibility_problems(page)] == []
        page.fill("#token", eye[0])
        page.keyboard.press("Enter")
        page.wait_for_url("**/history")
        expect(page.locator(".shot")).to_have_count(2)
        assert page.locator(".say").count() == 0
        page.goto(f"{station.url}/settings")
        assert "has the right to inspect, and this needs the right to manage" in page.inner_text(".lead")
        refused = page.evaluate(
            f"fetch('/history/{ids[0]}/feedback', {{method: 'POST', body: new URLSearchParams({{label: 'good'}})}})"
            ".then((answer) => answer.status)"
        )
        assert refused == 403
        # After logging in nobody is sent to another site.
        for target in (
            "//elsewhere.example",
            "https://elsewhere.example",
            "/\\elsewhere.example",
            "/\x1f.elsewhere.example/",  # which the page would write as /\x1f.elsewhere.example/
            "/\t/elsewhere.example",
        ):
            assert 'data-next="/"' in station.client.get("/login", params={"next": target}).text
        assert station.station.inspection(ids[0]).feedback is None


def test_a_page_of_another_site_can_change_nothing(station: Running) -> None:
    ids = fill(station, good=1, anomalous=0)
    answer = station.client.post(
        f"/history/{ids[0]}/feedback",
        data={"label": "good"},
        headers={"Origin": "https://elsewhere.example", "Accept": "text/html"},
    )
    assert answer.status_code == 403
    assert station.station.inspection(ids[0]).feedback is None
