"""Cameras at this computer: what can be tested without one."""

import sys
from pathlib import Path

import pytest

from onlygood.errors import SettingError, SourceError
from onlygood.station.frames import camera, list_cameras, make_source
from onlygood.station.frames.camera import CameraFrames
from onlygood.station.station_settings import CameraSource

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system says less about cameras")


@linux
@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (63, "there is none: plug it in, or choose another number"),
        ("63", "there is none: plug it in, or choose another number"),
        ("/dev/v4l/by-id/none", "there is none: plug it in, or choose another number"),
        ("/dev/null", "it is no camera: choose another one"),
        ("/", "it is a folder: give the path of a device"),
    ],
)
def test_a_camera_that_is_none(device: int | str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    source = make_source(CameraSource(name="bench", device=device))
    assert source.is_live and source.kind == "camera"
    with pytest.raises(SourceError) as error:
        source.open()
    shown = int(device) if device == "63" else device
    assert str(error.value) == f"the camera {shown} of the source bench cannot be opened: {reason}"
    source.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("device", "shown"), [(-1, "-1"), ("", "''")])
def test_what_is_no_device(device: int | str, shown: str) -> None:
    expected = f"^the device of the source bench must be a number from 0 or a path, got {shown}: 0 is the first camera$"
    with pytest.raises(SettingError, match=expected):
        CameraFrames(CameraSource(name="bench", device=device))


def test_a_list_of_cameras_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "_LINUX_CAMERAS", tmp_path / "none")
    assert list_cameras() == ()
    # a device that the system lists and that is gone in this moment
    (tmp_path / "video63").mkdir()
    monkeypatch.setattr(camera, "_LINUX_CAMERAS", tmp_path)
    assert list_cameras() == ()
