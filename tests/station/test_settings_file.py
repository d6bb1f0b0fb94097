from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from onlygood.errors import SettingError, WriteError
from onlygood.station.settings_file import SettingsFile, parse_settings
from onlygood.station.station_settings import (
    CameraSource,
    FolderSource,
    Limits,
    ModbusOutput,
    StationSettings,
    Token,
    WebhookOutput,
)

EVERYTHING = StationSettings(
    limits=Limits(queue_size=3),
    sources=(CameraSource(name="camera-1", device="/dev/video2"), FolderSource(name="belt", path="über/ordner")),
    outputs=(
        WebhookOutput(name="hook", url="https://example.org/", key=SecretStr("a key")),
        ModbusOutput(name="plc", recipes={3: "part"}),
    ),
    tokens=(Token(name="line", sha256="0" * 64, right="inspect"),),
    allowed_hosts=("station.local",),
)


def test_it_is_made_with_the_defaults_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "station.json"
    assert SettingsFile(path).get() == StationSettings()
    assert json.loads(path.read_text(encoding="utf-8"))["limits"]["queue_size"] == Limits().queue_size
    assert SettingsFile(path).get() == StationSettings()


def test_what_is_written_is_read_again_with_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "station.json"
    SettingsFile(path).replace(EVERYTHING)
    found = SettingsFile(path)
    assert found.get() == EVERYTHING
    assert found.get().outputs[0].key.get_secret_value() == "a key"  # type: ignore[union-attr]
    assert "über/ordner" in path.read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="rights are others there")
def test_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "station.json"
    file = SettingsFile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.replace(EVERYTHING)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_changes_from_many_threads_are_all_made(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "station.json")

    def add(number: int) -> None:
        source = FolderSource(name=f"belt-{number}", path="in")
        file.change(lambda now: now.model_copy(update={"sources": (*now.sources, source)}))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = SettingsFile(file.path).get()
    assert sorted(each.name for each in again.sources) == [f"belt-{number}" for number in range(8)]
    assert again == file.get()


def test_what_was_changed_by_hand_is_not_overwritten(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "station.json")
    file.path.write_text('{"limits": {"queue_size": 7}}', encoding="utf-8")
    with pytest.raises(SettingError, match="was changed by hand"):
        file.replace(EVERYTHING)
    assert file.get() == StationSettings()
    assert SettingsFile(file.path).get().limits.queue_size == 7


def test_a_change_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SettingsFile(tmp_path / "station.json")
    before = file.path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise WriteError("no room")

    monkeypatch.setattr("onlygood.station.settings_file.write_atomically", fail)
    with pytest.raises(WriteError):
        file.replace(EVERYTHING)
    assert (file.get(), file.path.read_bytes()) == (StationSettings(), before)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", r"station\.json must be JSON, and is not at line 1, column 2 .*: correct it"),
        ("[]", r"station\.json must be a JSON object"),
        ('{"limits": {"max_pixel": 3}}', r"has no setting limits\.max_pixel: did you mean 'max_pixels'\?"),
        ('{"limit": {}}', r"station\.json has no setting limit: did you mean 'limits'\?"),
        (
            '{"limits": {"queue_size": 0}}',
            r"^limits\.queue_size in .*json must be greater than or equal to 1, got 0$",
        ),
        ('{"sources": [{"kind": "camera", "name": "a", "width": 3}]}', r"sources\[0\]\.width in .*got 3"),
        ('{"sources": [{"kind": "camera", "name": "a b"}]}', r"sources\[0\]\.name in .* must be 1 to 64 letters"),
        ('{"sources": [{"name": "a"}]}', r"sources\[0\]\.kind in .* must be given"),
        ('{"sources": [{"kind": "rtsp", "name": "a"}]}', r"^sources\[0\]\.url in .* must be given"),
        ('{"sources": [{"kind": "camera", "name": "a", "alarm": {"m": 9}}]}', "m must be at most n, got 9 of 5"),
        (
            '{"sources": [{"kind": "webcam", "name": "a"}]}',
            r"sources\[0\]\.kind in .* one of camera, .*'webcam'",
        ),
        ('{"sources": [{"kind": "camera", "name": "a", "size": 3}]}', r"has no setting sources\[0\]\.size"),
        (
            '{"sources": [{"kind": "camera", "name": "a"}, {"kind": "camera", "name": "a"}]}',
            "each source must have a name of its own, got 'a' twice",
        ),
        ('{"sources": [{"kind": "camera", "name": "http"}]}', "another name than http, page, browser"),
        ('{"limits": {"queue_size": 0, "workers": -1}}', ", and 1 more"),
        ('{"retention": {"max_image_days": NaN}}', r"retention\.max_image_days"),
        ("[" * 100_000, "must be JSON"),
        ("\xff", "must be JSON"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_field(content: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "station.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingError, match=expected):
        SettingsFile(path)
    assert path.read_text(encoding="utf-8") == content


def test_no_secret_is_said() -> None:
    for part in (
        {"kind": "webhook", "name": "hook", "url": "ftp://me:secret@host", "key": "secret"},
        {"kind": "mqtt", "name": "m", "host": "", "port": 0, "password": "secret"},
        {"kind": "webhook", "name": "hook", "url": "https://host", "key": ["secret"]},
    ):
        with pytest.raises(SettingError) as caught:
            parse_settings(json.dumps({"outputs": [part]}).encode(), "station.json")
        assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        SettingsFile(tmp_path)
    path = tmp_path / "station.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="must be UTF-8"):
        SettingsFile(path)
    path.write_bytes(b" " * (5 << 20))
    with pytest.raises(SettingError, match="at most"):
        SettingsFile(path)
