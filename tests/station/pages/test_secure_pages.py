"""Pages over HTTPS, and what they say where a browser gives them no camera because they came without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onlygood.station.station_settings import StationSettings, Token
from onlygood.station.web.certificate import Certificate
from onlygood.station.web.session_cookie import COOKIE, SECURE_COOKIE
from onlygood.station.web.tokens import sha256_of
from tests.station.outputs.certificates import Authority
from tests.station.pages.conftest import ANOTHER_NAME, PATCH
from tests.station.server import Running, running

SETTINGS = StationSettings(
    tokens=(Token(name="x", sha256=sha256_of("right"), right="manage"),), allowed_hosts=(ANOTHER_NAME,)
)
SENTENCE = (
    "A browser gives its camera to pages over HTTPS or on localhost alone, and this page is neither: start the station "
    "with --certificate and open the page over HTTPS, open it on the station's own computer, or use a camera of the "
    "station."
)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, camera_model: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("secure")
    certificate = Certificate(Authority(folder).certificate("127.0.0.1"))
    models = {"camera": camera_model}
    with running(folder / "data", SETTINGS, models=models, certificate=certificate, token="right") as station:
        yield station


def log_in(page: Any, expect: Any, then: str) -> None:
    """Show the token, and wait for what is on the page after it."""
    page.fill("#token", "right")
    page.keyboard.press("Enter")
    expect(page.locator(then)).to_be_visible()


def test_over_https_the_camera_is_inspected_and_the_cookie_is_sent_nowhere_else(
    secure: Running, open_page: Callable[..., Any], expect: Any
) -> None:
    url = secure.url.replace("127.0.0.1", ANOTHER_NAME)
    page = open_page(f"{url}/live?source=browser&model=camera", ignore_https_errors=True)
    log_in(page, expect, "#stage")
    [cookie] = page.context.cookies()
    assert cookie["name"] == SECURE_COOKIE and cookie["domain"] == ANOTHER_NAME
    assert cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/"
    page.goto(f"{url}/live?source=browser&model=camera")
    assert page.evaluate("window.isSecureContext")
    page.keyboard.press("s")
    expect(page.locator(".verdict.good, .verdict.anomalous")).to_be_visible()
    page.keyboard.press("p")
    expect(page.locator(".notice.done")).to_contain_text("The image is remembered as number")
    page.keyboard.press("s")
    page.goto(f"{url}/health")
    expect(page.locator("#health")).to_be_visible()
    page.locator("[data-logout]").first.evaluate("(button) => button.click()")
    expect(page.locator("#token")).to_be_visible()
    assert page.context.cookies() == []


def test_who_goes_back_from_https_to_http_can_log_in_there(
    secure: Running, open_page: Callable[..., Any], expect: Any, tmp_path: Path
) -> None:
    """A browser lets no page without HTTPS write over a cookie that is for HTTPS alone."""
    url = secure.url.replace("127.0.0.1", ANOTHER_NAME)
    page = open_page(f"{url}/login?next=/health", ignore_https_errors=True)
    log_in(page, expect, "#health")
    with running(tmp_path, SETTINGS, models={"part": PATCH}) as station:
        again = page.context.new_page()
        again.goto(f"http://{ANOTHER_NAME}:{station.port}/login?next=/health")
        log_in(again, expect, "#health")
        assert {each["name"]: each["secure"] for each in page.context.cookies()} == {SECURE_COOKIE: True, COOKIE: False}
        again.close()


@pytest.mark.parametrize("path", ["/live?source=browser&model=part", "/teach/part"])
def test_a_page_without_https_says_what_to_do_where_the_browser_gives_it_no_camera(
    path: str, open_page: Callable[..., Any], expect: Any, tmp_path: Path
) -> None:
    with running(tmp_path, StationSettings(allowed_hosts=(ANOTHER_NAME,)), models={"part": PATCH}) as station:
        page = open_page(
            f"http://{ANOTHER_NAME}:{station.port}{path}", expects=("Cross-Origin-Opener-Policy", "closed before")
        )
        assert not page.evaluate("window.isSecureContext")
        page.keyboard.press("s")
        expect(page.locator("#hint")).to_have_text(SENTENCE)
