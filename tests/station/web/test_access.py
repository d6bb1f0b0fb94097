import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from onlygood.errors import SettingError
from onlygood.station.station_settings import StationSettings, Token
from onlygood.station.web.access import KnownHosts, check_listening
from onlygood.station.web.rights import Identity
from onlygood.station.web.tokens import MOST_WRONG, WINDOW_S, KnownTokens, WrongTokens, new_token, sha256_of
from tests.station.server import Running, good_png, running
from tests.station.web.conftest import PATCH

RIGHTS = ("inspect", "correct", "manage")
TOKENS = {right: f"token-of-{right}" for right in RIGHTS}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    tokens = tuple(Token(name=f"may-{right}", sha256=sha256_of(TOKENS[right]), right=right) for right in RIGHTS)
    settings = StationSettings(tokens=tokens, allowed_hosts=("station.example",))
    folder = tmp_path_factory.mktemp("guarded")
    with running(folder, settings, models={"part": PATCH}, token=TOKENS["manage"]) as station:
        yield station


@pytest.fixture
def stranger(guarded: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url) as client:
        yield client


def bearer(right: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[right]}"}


# Tokens


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/v1/health"),
        ("GET", "/nothing"),
        ("PUT", "/v1/models/x"),
        ("POST", "/v1/models/part/inspect"),
        ("GET", "/v1/session/../models"),
        ("GET", "/healthz/../v1/models"),
        ("GET", "/static/../v1/models"),
        ("GET", "/static/%2e%2e/v1/models"),
        ("GET", "//v1/models"),
    ],
)
def test_without_a_token_nothing_is_told(stranger: httpx.Client, method: str, path: str) -> None:
    answer = stranger.request(method, path)
    assert answer.status_code in (401, 404, 405)
    assert answer.status_code == 401 or path.startswith("/static/")
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["detail"] == (
            "a token must come with each request, as 'Authorization: Bearer TOKEN', and none did"
        )


def test_who_may_inspect_may_download_models_over_http_and_on_the_page(stranger: httpx.Client) -> None:
    page = stranger.get("/models/part/1", headers=bearer("inspect") | {"Accept": "text/html"}).text
    assert 'href="/models/part/1/file"' in page
    for path in ("/models/part/1/file", "/v1/models/part/versions/1/file"):
        answer = stranger.get(path, headers=bearer("inspect"))
        assert (answer.status_code, answer.content) == (200, PATCH.read_bytes())


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_signs_of_life_need_no_token(stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_browser_is_led_to_the_page_that_takes_a_token(stranger: httpx.Client) -> None:
    answer = stranger.get("/history", headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/history")
    hostile = stranger.get("/%0d%0aX:%20y//evil", headers={"Accept": "text/html"})
    assert hostile.headers["location"] == "/login?next=/%0D%0AX%3A%20y//evil"


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "token-of-manage"])
def test_another_kind_of_authorization_is_refused(stranger: httpx.Client, header: str) -> None:
    answer = stranger.get("/v1/models", headers={"Authorization": header})
    assert answer.status_code == 401
    assert "must be 'Bearer TOKEN'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("right", "allowed"), [("inspect", (200, 403, 403)), ("correct", (200, 404, 403)), ("manage", (200, 404, 422))]
)
def test_each_right_includes_those_before_it(stranger: httpx.Client, right: str, allowed: tuple[int, ...]) -> None:
    headers = bearer(right)
    statuses = (
        stranger.post("/v1/models/part/inspect", files={"image": good_png()}, headers=headers).status_code,
        stranger.post("/v1/inspections/999999/feedback", json={"label": "good"}, headers=headers).status_code,
        stranger.put("/v1/models/part", content=b"garbage", headers=headers).status_code,
    )
    assert statuses == allowed
    assert stranger.get("/v1/identity", headers=headers).json() == {"name": f"may-{right}", "right": right}


def test_a_right_that_is_missing_is_named_before_the_body_is_read(guarded: Running, stranger: httpx.Client) -> None:
    answer = stranger.post("/v1/inspections/1/feedback", content=b"no JSON", headers=bearer("inspect"))
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "the token 'may-inspect' has the right to inspect, and this needs the right to correct: use another token",
    )


def test_every_route_says_which_right_it_needs(guarded: Running) -> None:
    described = guarded.client.get("/openapi.json").json()
    open_paths = {"/healthz", "/readyz", "/v1/session"}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert (operation.get("x-right") in RIGHTS) != (path in open_paths), path


def test_feedback_says_whose_token_was_used(guarded: Running) -> None:
    [result] = guarded.client.post("/v1/models/part/inspect", files={"image": good_png()}).json()["results"]
    url = f"/v1/inspections/{result['inspection']['id']}/feedback"
    record = guarded.client.post(url, json={"label": "good"}, headers=bearer("correct")).json()
    assert record["feedback"]["by"] == "may-correct"


def test_a_cookie_takes_the_place_of_the_header(stranger: httpx.Client) -> None:
    answer = stranger.post("/v1/session", json={"token": f" {TOKENS['correct']} "})
    assert answer.json() == {"name": "may-correct", "right": "correct"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert stranger.get("/v1/identity").json()["name"] == "may-correct"
    assert stranger.delete("/v1/session").status_code == 204
    assert stranger.get("/v1/identity").status_code == 401


def test_the_settings_show_no_secret(guarded: Running) -> None:
    shown = guarded.client.get("/v1/settings")
    assert shown.json()["tokens"] == [{"name": f"may-{right}", "right": right} for right in RIGHTS]
    assert all(sha256_of(token) not in shown.text for token in TOKENS.values())


def test_after_many_wrong_tokens_others_are_refused_for_a_while_and_right_ones_are_not(tmp_path: Path) -> None:
    settings = StationSettings(tokens=(Token(name="x", sha256=sha256_of("right"), right="manage"),))
    with running(tmp_path, settings) as station:
        for number in range(MOST_WRONG):
            # One that comes again is no guess.
            for _ in range(3):
                answer = station.client.get("/v1/models", headers={"Authorization": f"Bearer wrong-{number}"})
                if number < MOST_WRONG - 1:
                    assert (answer.status_code, answer.json()["detail"]) == (
                        401,
                        "the token is not one of this station's: check that it was copied whole",
                    )
        for answer in (
            station.client.get("/v1/models", headers={"Authorization": "Bearer wrong"}),
            station.client.post("/v1/session", json={"token": "wrong"}),
        ):
            assert answer.status_code == 429
            assert answer.json()["detail"].startswith("too many wrong tokens came from 127.0.0.1: try again in ")
            assert 1 <= int(answer.headers["retry-after"]) <= WINDOW_S
        # behind a proxy, those with a right one have the same address
        assert station.client.get("/v1/models", headers={"Authorization": "Bearer right"}).status_code == 200
        assert station.client.get("/healthz").status_code == 200


def test_wrong_tokens_are_forgotten_after_a_while_and_by_address() -> None:
    now_s = 0.0
    wrong = WrongTokens(lambda: now_s)
    for number in range(MOST_WRONG):
        assert wrong.wait_s("a") == 0
        wrong.note("a", f"{number}")
        now_s += 1
    assert wrong.wait_s("a") == WINDOW_S - MOST_WRONG
    assert wrong.wait_s("b") == 0
    now_s = WINDOW_S + 0.5
    assert wrong.wait_s("a") == 0


def test_a_token_is_known_by_its_digest_alone() -> None:
    token, digest = new_token()
    known = KnownTokens(lambda: [Token(name="x", sha256=digest, right="correct")])
    assert known.identify(token) == Identity("x", "correct")
    assert [known.identify(each) for each in ("", token[:-1], digest, token + "x", "y" * 10_000)] == [None] * 5
    assert len({new_token()[0] for _ in range(100)}) == 100


def test_tokens_that_are_made_and_removed_while_it_runs_hold_at_once(tmp_path: Path) -> None:
    def use(station: Running, *tokens: Token) -> None:
        station.station.change_settings(lambda settings: settings.model_copy(update={"tokens": tokens}))

    token = Token(name="x", sha256=sha256_of("right"), right="manage")
    with running(tmp_path / "local") as station:
        assert station.client.get("/v1/models").status_code == 200
        use(station, token)
        assert station.client.get("/v1/models").status_code == 401
        assert station.client.get("/v1/models", headers={"Authorization": "Bearer right"}).status_code == 200
        use(station)
        assert station.client.get("/v1/models").status_code == 200
    # A stream that is open ends with its token.
    with running(tmp_path / "stream", StationSettings(tokens=(token,)), heartbeat_s=0.05) as station:
        headers = {"Authorization": "Bearer right"}
        with station.client.stream("GET", "/v1/events", headers=headers) as answer:
            lines = answer.iter_lines()
            assert ": still here" in (next(lines) for _ in range(20))
            use(station, Token(name="y", sha256=sha256_of("other"), right="manage"))
            assert [line for line in lines if line.startswith("event")] == []
    # One that listens for the network is never left open by a token that is removed.
    with running(tmp_path / "open", StationSettings(tokens=(token,)), host="0.0.0.0") as station:
        use(station)
        for headers in ({}, {"Authorization": "Bearer right"}):
            assert station.client.get("/v1/models", headers=headers).status_code == 401
        assert station.client.get("/healthz").status_code == 200


# Listening


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "factory-pc", ""])
def test_listening_beyond_this_computer_needs_tokens_or_to_be_asked_for(host: str) -> None:
    with pytest.raises(SettingError, match=r"beyond this computer, needs tokens, got none: make one with --make-token"):
        check_listening(host, 0, without_tokens=False)
    check_listening(host, 1, without_tokens=False)
    check_listening(host, 0, without_tokens=True)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.4.5", "::1", "[::1]", "LOCALHOST"])
def test_listening_on_this_computer_alone_needs_none(host: str) -> None:
    check_listening(host, 0, without_tokens=False)


# Hosts


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1:80", "[::1]:8000", "station.example:8000"])
def test_a_name_of_the_station_is_answered(guarded: Running, host: str) -> None:
    assert guarded.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "localhost@evil", "a" * 500]
)
def test_a_name_that_someone_else_leads_here_is_refused(guarded: Running, host: str) -> None:
    answer = guarded.client.get("/healthz", headers={"Host": host})
    assert answer.status_code in (400, 421)
    if answer.status_code == 421:
        assert "add it to allowed_hosts in the station's settings" in answer.json()["detail"]


def test_one_that_listens_everywhere_is_answered_under_every_address_and_its_own_name() -> None:
    hosts = KnownHosts("0.0.0.0", lambda: ("Station.Example",))
    assert all(
        each in hosts
        for each in ("10.1.2.3:8000", "[fe80::1]:8000", "localhost", socket.gethostname(), "station.example")
    )
    assert "evil.example" not in hosts
    assert "10.1.2.3" not in KnownHosts("192.168.0.1", tuple)
    assert "[fd00::5]:8000" in KnownHosts("FD00::5", tuple)
    assert "[fd00::6]:8000" not in KnownHosts("fd00::5", tuple)


# Pages of others


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Origin": "http://evil.example"}),
        ("POST", {"Origin": "null"}),
        ("POST", {"Origin": "http://localhost:1"}),
        ("POST", {"Origin": "http://["}),
        ("POST", {"Sec-Fetch-Site": "cross-site"}),
        ("POST", {"Sec-Fetch-Site": "same-site"}),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
    ],
)
def test_what_another_sites_page_sends_is_refused(served: Running, method: str, headers: dict[str, str]) -> None:
    answer = served.client.request(method, "/v1/models/part/rollback", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("a browser may use this station from its own pages alone, got a request")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("POST", {"Origin": "http://127.0.0.1:PORT"}),
        ("POST", {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"}),
        ("POST", {"Sec-Fetch-Site": "none"}),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),
    ],
)
def test_what_its_own_page_a_person_or_a_program_sends_is_not(
    served: Running, method: str, headers: dict[str, str]
) -> None:
    headers = {name: value.replace("PORT", str(served.port)) for name, value in headers.items()}
    assert served.client.request(method, "/v1/models/part/rollback", headers=headers).status_code in (404, 405)


def test_a_preflight_of_another_sites_page_allows_nothing(served: Running) -> None:
    answer = served.client.options(
        "/v1/models", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_web_socket_of_another_sites_page_is_refused(served: Running) -> None:
    url = f"ws://127.0.0.1:{served.port}/v1/live/browser"
    with pytest.raises(InvalidStatus) as refused, connect(url, origin="http://evil.example"):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403


# Headers


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/models", "/openapi.json", "/v1/inspections/x"])
def test_every_answer_tells_browsers_what_they_may_not(served: Running, path: str) -> None:
    headers = served.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["permissions-policy"].startswith("camera=(self)")
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
