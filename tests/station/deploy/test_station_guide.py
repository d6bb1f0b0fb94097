"""The commands, requests, settings and names in the guide of the station are those of the program."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from deployed import last_of

from onlygood.cli import make_parser
from onlygood.station.station_settings import MIB, Retention, StationSettings, Token
from onlygood.station.web.tokens import new_token
from tests.station.server import MODELS, Running, bad_png, good_jpeg, good_png, running

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "station.md").read_text(encoding="utf-8")
PATCH = MODELS / "format-2-patch.onnx"
COMMANDS = [
    each.replace("\\\n", " ")
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL)
    for each in re.findall(r"^\$ (.+?)$(?!\n {4})", block, re.DOTALL | re.MULTILINE)
]
INLINE = [" ".join(each.split()) for each in re.findall(r"`((?:sudo [^`]*)?onlygood (?:station|watch)[^`]*)`", GUIDE)]
CURL = [each for each in COMMANDS if each.startswith("curl")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A station whose model `part` has two versions, as has one of the guide."""
    data = tmp_path_factory.mktemp("served")
    with running(data, StationSettings(), models={"part": PATCH}) as station:
        station.station.models.add("part", (MODELS / "format-2-knn.onnx").read_bytes(), origin="upload")
        yield station


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files that the guide speaks of."""
    for name, content in (("new.jpg", good_jpeg()), ("a.png", good_png()), ("b.png", bad_png())):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "part.onnx").write_bytes((MODELS / "format-2-lof.onnx").read_bytes())
    return tmp_path


def onlygood_arguments(command: str) -> list[str] | None:
    """What follows `onlygood` in a command, also where Docker or sudo stand before it; None where it runs none."""
    words = shlex.split(command)
    if words[0] == "docker" and words[1] in ("run", "compose"):
        image = "station" if words[1] == "compose" else "onlygood-station"
        at = next((at for at in range(len(words) - 1, 0, -1) if words[at] == image), None)
        if at is None or "run" not in words:
            return None
        return [*last_of("ENTRYPOINT").words[1:], *(words[at + 1 :] or last_of("CMD").words)]
    at = next((at for at, word in enumerate(words) if Path(word).name == "onlygood" and at + 1 < len(words)), None)
    return None if at is None or words[at + 1] not in ("station", "watch") else words[at + 1 :]


def test_the_commands_of_the_guide_are_found():
    found = [each for each in map(onlygood_arguments, [*COMMANDS, *INLINE]) if each is not None]
    assert len(found) >= 12 and len(CURL) >= 8


@pytest.mark.parametrize("command", [each for each in [*COMMANDS, *INLINE] if onlygood_arguments(each)])
def test_the_command_line_takes_the_commands_of_the_guide(command):
    arguments = onlygood_arguments(command)
    assert arguments is not None
    assert make_parser(arguments).parse_args(arguments).called == arguments[0]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", [each for each in CURL if "/v1/events" not in each])
def test_the_requests_of_the_guide_are_answered(command, served, files):
    id = served.client.post("/v1/models/part/inspect", files={"image": good_png()}).json()
    number = str(id["results"][0]["inspection"]["id"])
    words = shlex.split(command.replace("localhost:8000", f"127.0.0.1:{served.port}").replace("1742", number))
    ran = subprocess.run(
        [words[0], "--fail-with-body", "--silent", "--noproxy", "*", *words[1:]],
        cwd=files,
        capture_output=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout
    answer = json.loads(ran.stdout)
    if "/inspect?" in command or command.endswith("/inspect"):
        assert len(answer["results"]) == command.count("-F ") + command.count("--data-binary")
        assert all((each["map_png"] is not None) is ("map=png" in command) for each in answer["results"])


def test_events_come_as_the_guide_says(served):
    (command,) = [each for each in CURL if "/v1/events" in each]
    path = command.partition("localhost:8000")[2]
    with served.client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        served.client.post("/v1/models/part/inspect", files={"image": good_png()}).raise_for_status()
        assert next(line for line in answer.iter_lines() if line.startswith("event:")) == "event: inspection"


def test_the_program_of_the_guide_runs(served, files, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    monkeypatch.chdir(files)
    exec(compile(code.replace("http://localhost:8000", served.url), "station.md", "exec"), {"__name__": "guide"})
    said = capsys.readouterr().out.splitlines()
    assert [each.split()[0] for each in said] == ["good", "a.png", "b.png"]
    assert said[2].endswith("anomalous")


def test_paths_of_the_guide_are_routes(served):
    paths = served.client.get("/openapi.json").json()["paths"]
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))) for path in paths]
    named = {each.rstrip("/.") for each in re.findall(r"/v1/[\w/.{}]*|/healthz|/readyz|/metrics", GUIDE)}
    assert len(named) >= 8
    for path in named:
        assert any(pattern.fullmatch(path) for pattern in patterns), path


def test_what_the_guide_says_is_open_is_open_and_nothing_else(tmp_path):
    rows = re.findall(r"^\| `(/\w+(?:/\w+)?)` \| (yes|no) \|", GUIDE, re.MULTILINE)
    assert len(rows) == 4
    _, sha256 = new_token()
    settings = StationSettings(tokens=(Token(name="admin", sha256=sha256, right="manage"),))
    data = tmp_path / "data"
    data.mkdir()
    with running(data, settings) as station:
        for path, is_open in rows:
            assert httpx.get(f"{station.url}{path}").status_code == (200 if is_open == "yes" else 401), path


def test_rights_of_the_guide_are_those_of_the_routes(served):
    paths = served.client.get("/openapi.json").json()["paths"]
    rights = {each["operationId"]: each.get("x-right") for path in paths.values() for each in path.values()}
    for right, operations in (
        (
            "inspect",
            ("inspect", "trigger_source", "list_inspections", "get_map", "download_version", "events", "health"),
        ),
        ("correct", ("give_feedback", "start_source", "stop_source")),
        ("manage", ("teach", "fit", "update", "upload_model", "activate_version", "roll_back", "get_settings")),
    ):
        assert {rights[each] for each in operations} == {right}


def test_metrics_of_the_guide_are_given(served):
    given = set(re.findall(r"^# TYPE (\w+) ", served.client.get("/metrics").text, re.MULTILINE))
    named = set(re.findall(r"`(onlygood_\w+)", GUIDE))
    assert len(named) >= 7
    assert named <= given, named - given


def test_settings_of_the_guide_can_be_used():
    (block,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    sources = StationSettings.model_validate_json(block).sources
    assert [each.kind for each in sources] == ["camera", "rtsp", "folder", "video", "genicam"]
    for each in re.findall(r"`(\"\w+\": [^`]+)`", " ".join(GUIDE.split())):
        name, value = json.loads(f"{{{each}}}").popitem()
        if name == "trigger":
            assert value in ("http", "mqtt")
        else:
            StationSettings.model_validate({name: value})


def test_what_is_kept_is_what_the_settings_say_by_default():
    kept = Retention()
    assert f"{kept.max_image_days:,.0f} days and {kept.max_image_bytes // MIB:,} MiB" in GUIDE
    assert f"{kept.max_inspection_days:,.0f} days" in GUIDE
    assert f"{kept.min_free_bytes // MIB:,} MiB stay free" in GUIDE
    assert set(re.findall(r"`((?:max|min)_(?:image|inspection|free)_\w+)`", GUIDE)) >= set(Retention.model_fields)
