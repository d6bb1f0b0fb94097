"""`onlygood station` as a process of its own, and what it does instead of running."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from command_line import Ran, one_sentence
from onlygood.cli.service_manager import answers, tell_service_manager, watchdog_pause_s
from onlygood.cli.station import PASSPHRASE_VARIABLE
from onlygood.station.inspecting import ToInspect
from onlygood.station.station import Station
from onlygood.station.store.store import Store
from tests.station.outputs.certificates import Authority

pytest.importorskip("fastapi")

DEADLINE_S = 120.0
Run = Callable[..., Ran]
# Shells start background jobs without SIGINT, and the tests may run as one.
SCRIPT = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from onlygood.__main__ import main\nraise SystemExit(main())"
)


@contextmanager
def running(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A station on a free port, and its address."""
    command = [sys.executable, "-c", SCRIPT, "station", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    with process:
        try:
            assert process.stdout is not None and process.stderr is not None
            said = process.stdout.readline()
            found = re.search(r"https?://localhost:\d+", said)
            assert found is not None, (said, process.stderr.read())
            yield process, found[0].replace("localhost", "127.0.0.1")
        finally:
            process.kill()


def ask(url: str, data: bytes | None = None, *, authority: Path | None = None, **headers: str) -> Any:
    trusting = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusting)
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "image/png", **headers})
    with opener.open(request, timeout=DEADLINE_S) as answer:
        return json.load(answer)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_remembers_until_it_is_stopped(
    number: int, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    image = (new_folder / "b.png").read_bytes()
    with running("--data", data, "--models", model_path.parent) as (process, url):
        assert [each["name"] for each in ask(f"{url}/v1/models")] == ["part"]
        answer = ask(f"{url}/v1/models/part/inspect", image)
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.wait(DEADLINE_S) == 0
    store = Store(data)
    (record,) = store.inspections.page(limit=9).inspections
    assert record.id == answer["results"][0]["inspection"]["id"]
    assert store.inspections.image(record.id) == (image, ".png")
    store.close()


@pytest.mark.skipif(os.name != "posix", reason="systemd is Linux's")
def test_the_service_manager_is_told_when_it_is_ready_that_it_answers_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = str(tmp_path / "notify")
        manager.bind(address)
        manager.settimeout(DEADLINE_S)
        told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
        with running("--data", tmp_path / "data", **told) as (process, _):
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.terminate()
            while (state := manager.recv(100)) == b"WATCHDOG=1":
                pass
            assert state == b"STOPPING=1"
            assert process.wait(DEADLINE_S) == 0


@pytest.mark.skipif(os.name != "posix", reason="systemd is Linux's")
def test_it_speaks_https_and_says_so_and_the_service_manager_is_told_that_it_answers(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = str(tmp_path / "notify")
        manager.bind(address)
        manager.settimeout(DEADLINE_S)
        told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
        certificate = authority.certificate("127.0.0.1", begins_in_days=-100, ends_in_days=1)
        arguments = ("--data", tmp_path / "data", "--certificate", certificate, "--proxy", "10.0.0.5", "--proxy", "::1")
        with running(*arguments, **told) as (process, url):
            assert url.startswith("https://127.0.0.1:")
            assert ask(f"{url}/healthz", authority=authority.path) == {"status": "ok"}
            [problem] = ask(f"{url}/v1/health", authority=authority.path)["problems"]
            assert problem.startswith(f"the certificate {certificate} expires on ")
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
            assert process.stderr is not None
            said = process.stderr.read()
    assert said.count(problem) == 1 and re.search(r"INFO the station listens on https://localhost:\d+\n", said)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("--key", "key.pem"),
            "--key needs --certificate, the file of the certificate that it belongs to, got key.pem alone: give both",
        ),
        (
            ("--certificate", "none.pem"),
            "the certificate must be a file that this user may read, got none.pem (no such",
        ),
        (("--certificate", "station.json"), "must be a PEM file with 'BEGIN CERTIFICATE' in it, got station.json"),
        (("--proxy", "10.0.0.5", "--proxy", "nginx"), "a proxy must be an address or a network, such as 127.0.0.1 or"),
    ],
)
def test_what_cannot_be_used_for_https_and_proxies_is_one_sentence(
    arguments: tuple[str, ...], expected: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "station.json").write_text("{}")
    assert expected in one_sentence(run("station", "--data", "data", "--port", "0", *arguments))


def test_an_encrypted_key_has_its_passphrase_in_the_environment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Authority(tmp_path).certificate("127.0.0.1")
    secret = tmp_path / "key.pem"
    key = serialization.load_pem_private_key(certificate.read_bytes(), None)
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"correct horse")
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    arguments = ("station", "--data", tmp_path / "data", "--port", "0", "--certificate", certificate, "--key", secret)
    assert "needs its passphrase, got none: write it into the environment variable" in one_sentence(run(*arguments))
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    assert f"the passphrase in {PASSPHRASE_VARIABLE} must be that of the key" in one_sentence(run(*arguments))
    with running(*arguments[1:3], *arguments[5:], **{PASSPHRASE_VARIABLE: "correct horse"}) as (_, url):
        assert url.startswith("https://")


def test_without_a_service_manager_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_service_manager("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    tell_service_manager("READY=1")


@pytest.mark.parametrize(
    ("said", "whose", "expected"),
    [
        ("30000000", "nobody's", 12.0),
        ("30000000", "ours", 12.0),
        ("30000000", "another's", None),
        ("0", "nobody's", None),
        ("x", "nobody's", None),
    ],
)
def test_the_watchdog_is_told_well_within_its_time(
    said: str, whose: str, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", said)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if whose != "nobody's":
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + (whose != "ours")))
    assert watchdog_pause_s() == expected


def test_a_server_that_does_not_answer_is_told_from_one_that_does(tmp_path: Path) -> None:
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert not answers("127.0.0.1", silent.getsockname()[1], timeout_s=0.1)
        port = silent.getsockname()[1]
    assert not answers("0.0.0.0", port, timeout_s=0.1)


def test_a_port_that_is_taken_is_one_sentence(run: Run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = one_sentence(run("station", "--data", tmp_path / "data", "--port", port))
    assert sentence.startswith(f"port {port} on 127.0.0.1 is taken by another program")


def test_two_stations_on_one_folder_are_one_sentence(run: Run, tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    for arguments in (("--port", "0"), ("--make-token", "line", "inspect")):
        sentence = one_sentence(run("station", "--data", tmp_path / "data", *arguments))
        assert "must belong to one station alone" in sentence
    store.close()


def test_a_station_for_the_network_needs_tokens_or_the_word(run: Run, tmp_path: Path) -> None:
    sentence = one_sentence(run("station", "--data", tmp_path / "data", "--host", "0.0.0.0", "--port", "0"))
    assert "needs tokens" in sentence and "--make-token" in sentence and "--without-tokens" in sentence


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--port", "70000"), "--port must be from 0 to 65535, got 70000"),
        (("--models", "none", "--port", "0"), "the folder of models must be a folder, got none"),
        (("--host", "no such host", "--port", "0"), "the address to listen on must be one of this computer"),
        (("--database", "mysql://host/x", "--port", "0"), "SQLite or in PostgreSQL"),
        (("--make-token", "line", "all"), "the right of a token must be one of inspect, correct, manage, got 'all'"),
        (("--make-token", "a b", "inspect"), "a name must be 1 to 64 letters"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: tuple[str, ...], expected: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in one_sentence(run("station", "--without-tokens", *arguments))


def test_settings_that_cannot_be_used_are_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "station.json").write_text('{"limits": {"queue_size": -1}}', encoding="utf-8")
    sentence = one_sentence(run("station", "--data", tmp_path, "--port", "0"))
    assert sentence.startswith("limits.queue_size in ") and sentence.endswith("got -1")


def test_a_token_is_printed_once_and_kept_as_its_digest(run: Run, tmp_path: Path) -> None:
    ran = run("station", "--data", tmp_path / "data", "--make-token", "line", "inspect")
    token = ran.out.strip()
    assert ran.code == 0 and len(token) > 40
    assert "it is kept nowhere and cannot be shown again" in ran.err
    kept = json.loads((tmp_path / "data" / "station.json").read_text(encoding="utf-8"))["tokens"]
    assert kept == [{"name": "line", "sha256": hashlib.sha256(token.encode()).hexdigest(), "right": "inspect"}]
    again = one_sentence(run("station", "--data", tmp_path / "data", "--make-token", "line", "manage"))
    assert again == "each token must have a name of its own, got 'line' twice: rename one of them"


def test_a_backup_is_made_and_restored_in_one_command_each(
    run: Run, model_path: Path, new_folder: Path, tmp_path: Path
) -> None:
    station = Station(tmp_path / "data")
    station.models.add("part", model_path.read_bytes(), origin="upload")
    image = (new_folder / "b.png").read_bytes()
    asked = ToInspect(model="part", content=image, source="http", name="b.png")
    record = station.submit(asked).result(DEADLINE_S).record
    backup, restored = tmp_path / "station.backup", tmp_path / "restored"
    # While the station runs.
    made = run("station", "--data", tmp_path / "data", "--backup", backup)
    assert (made.code, made.err) == (0, "")
    assert made.out == f"{backup}: the memory of a station with 1 model file and 1 image\n"
    station.stop()
    again = run("station", "--data", restored, "--restore", backup)
    assert (again.code, again.err) == (0, "")
    store = Store(restored)
    assert store.inspections.get(record.id) == record
    assert store.inspections.image(record.id) == (image, ".png")
    assert store.models.content(record.model_sha256) == model_path.read_bytes()
    store.close()
    assert "which exists" in one_sentence(run("station", "--data", restored, "--backup", backup))
    assert "empty folder" in one_sentence(run("station", "--data", restored, "--restore", backup))
    assert "none" in one_sentence(run("station", "--data", tmp_path / "none", "--backup", tmp_path / "other"))


def test_the_extra_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onlygood._extras as extras

    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    for command in (("station", "--data", tmp_path), ("watch", "part.onnx", "--camera", "0")):
        sentence = one_sentence(run(*command))
        assert "which is not installed: run pip install 'onlygood[station]'" in sentence


def test_the_other_commands_do_not_import_it() -> None:
    script = (
        "import sys, onlygood; from onlygood.cli import make_parser; make_parser(['station', '--help']); "
        "make_parser(['watch', '--help']); make_parser(); "
        "print([name for name in sys.modules if name.startswith(('onlygood.station', 'fastapi', 'sqlalchemy'))])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
