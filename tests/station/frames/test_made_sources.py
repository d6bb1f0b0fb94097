"""From settings to sources: every kind that can be set has one."""

import doctest
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from onlygood.errors import SettingError
from onlygood.station.frames import Capture, make_source
from onlygood.station.frames.folder import FolderFrames
from onlygood.station.station_settings import (
    CameraSource,
    FolderSource,
    GenicamSource,
    RtspSource,
    SourceSettings,
    VideoSource,
)
from test_watched_folder import encoded

SETTINGS: tuple[Any, ...] = (
    CameraSource(name="a"),
    RtspSource(name="b", url="rtsp://camera/live"),
    VideoSource(name="c", path="clip.mp4"),
    GenicamSource(name="d", producer="maker.cti"),
    FolderSource(name="e", path="incoming"),
)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.kind)
def test_each_kind_has_its_source(settings: Any) -> None:
    source = make_source(settings)
    assert source.kind == settings.kind
    source.close()


def test_no_kind_is_left_out() -> None:
    kinds = get_args(get_args(SourceSettings)[0])
    assert {type(settings) for settings in SETTINGS} == set(kinds)


def test_what_was_seen_and_the_limits_reach_a_folder(tmp_path: Path) -> None:
    class All:
        def is_seen(self, key: str) -> bool:
            return True

        def still_there(self, keys: Sequence[str]) -> None:
            pass

    (tmp_path / "a.png").write_bytes(encoded(1))
    source = make_source(FolderSource(name="e", path=str(tmp_path), settle_s=0), seen=All())
    assert isinstance(source, FolderFrames)
    source.open()
    assert source.read(0.0) is None
    source.close()
    with pytest.raises(SettingError, match="must not be empty"):
        make_source(FolderSource(name="e", path=""))


def test_the_example_of_a_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "0.png").write_bytes(encoded(1))
    monkeypatch.chdir(tmp_path)
    (example,) = [found for found in doctest.DocTestFinder().find(Capture, globs={}) if found.examples]
    assert doctest.DocTestRunner().run(example).failed == 0


def test_importing_sources_imports_none_of_their_libraries() -> None:
    libraries = ("cv2", "genicam", "watchfiles", "paho", "torch")
    script = f"import sys, onlygood.station.frames; print([n for n in {libraries} if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
