"""GenICam cameras: the simulated ones of the GenTL producer that the package genicam brings."""

import importlib.util
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from broker import missing
from onlygood.errors import MissingExtraError, SourceError
from onlygood.station.frames import Capture, Frame, make_source
from onlygood.station.frames.genicam import GenicamFrames
from onlygood.station.station_settings import GenicamSource
from scripted import DEADLINE_S, wait_until

Open = Callable[..., GenicamFrames]


@pytest.fixture(scope="module")
def producer() -> str:
    """Three cameras with the serial numbers 0, 1 and 2, which film a game of their own."""
    found = importlib.util.find_spec("genicam")
    path = Path(found.origin or "").with_name("viky.cti") if found is not None else Path()
    if not path.is_file():
        missing("the package genicam is not installed or brings no simulated camera", "pip install genicam==1.6.0")
    return str(path)


@pytest.fixture
def source(producer: str) -> Iterator[Open]:
    made = []

    def make(**more: Any) -> GenicamFrames:
        settings = GenicamSource(**{"name": "press", "producer": producer, **more})
        made.append(GenicamFrames(settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def read(frames: GenicamFrames) -> Frame:
    frame = frames.read(DEADLINE_S)
    assert frame is not None
    return frame


def test_frames_come_as_the_features_say(source: Open) -> None:
    colour = source(nodes={"AcquisitionFrameRate": 200})
    assert colour.is_live and colour.kind == "genicam"
    colour.open()
    first, second = read(colour), read(colour)
    assert first.number == 1 and second.number > 1
    assert first.pixels is not None and first.pixels.shape == (400, 400, 3) and first.pixels.dtype == np.uint8
    assert first.name == "press-000001" and first.key is None
    colour.close()
    grey = source(nodes={"PixelFormat": "Mono8", "Width": 320, "Height": 240.0, "AcquisitionFrameRate": 200})
    grey.open()
    pixels = read(grey).pixels
    assert pixels is not None and pixels.shape == (240, 320, 1)


def test_the_alpha_of_a_camera_is_left_out_and_the_colours_are_in_their_order(source: Open) -> None:
    # each of the three plays in its own colour: the frame around the game
    for serial, name in enumerate(("red", "green", "blue")):
        frames = source(serial=str(serial), nodes={"AcquisitionFrameRate": 200})
        frames.open()
        pixels = read(frames).pixels
        assert pixels is not None
        sums = pixels.reshape(-1, 3).astype(int).sum(axis=0)
        assert sums.argmax() == serial, (name, sums)
        frames.close()


def test_frames_that_nobody_read_in_time_leave_gaps_in_the_numbers(source: Open) -> None:
    frames = source(nodes={"AcquisitionFrameRate": 200})
    frames.open()
    numbers = [read(frames).number]

    def has_gap() -> bool:
        # 20 frames' time: the station gives the camera 6 buffers, and what comes while all are full is lost
        time.sleep(0.1)
        numbers.extend(read(frames).number for _ in range(10))
        return numbers[-1] - numbers[0] + 1 > len(numbers)

    wait_until(has_gap, "frames are lost")
    assert numbers == sorted(set(numbers))


def test_two_cameras_of_one_producer(source: Open) -> None:
    first, second = source(serial="0"), source(serial="1")
    first.open()
    second.open()
    assert read(first).number == read(second).number == 1
    first.close()
    assert read(second).number > 1
    first.open()
    assert read(first).number == 1


def test_without_a_serial_number_the_first_that_is_free(source: Open) -> None:
    opened = [source() for _ in range(3)]
    for frames in opened:
        frames.open()
        assert read(frames).number == 1
    with pytest.raises(
        SourceError, match=r"^the camera of the source press is used by another program: end that program$"
    ):
        source().open()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"serial": "9"},
            "a camera with the serial number 9 is needed for the source press, and there are 0, 1, 2: plug it in, or "
            "give the serial number of another",
        ),
        (
            {"producer": "/none.cti"},
            "the GenTL producer of the source press is not there: /none.cti must be a file, give the path of the file "
            "that ends with .cti, which the maker of the camera installs",
        ),
        (
            {"nodes": {"AcquisitionFrameRat": 10}},
            "the camera of the source press has no feature AcquisitionFrameRat: did you mean AcquisitionFrameRate?",
        ),
        (
            {"nodes": {"DeviceControl": 1}},  # a heading
            "the camera of the source press has no feature DeviceControl: look its name up in the camera's manual",
        ),
        (
            {"nodes": {"AcquisitionFrameRate": 1e9}},
            "the camera of the source press does not take 1000000000.0 for its feature AcquisitionFrameRate (Value "
            "1000000000.000000 must be smaller than or equal 200.000000): choose another value",
        ),
        (
            {"nodes": {"PayloadSize": 1}},
            "the camera of the source press does not take 1 for its feature PayloadSize (Node is not writable): choose "
            "another value",
        ),
    ],
)
def test_what_is_not_there(source: Open, settings: dict[str, Any], expected: str) -> None:
    frames = source(**settings)
    with pytest.raises(SourceError) as error:
        frames.open()
    assert str(error.value) == expected
    frames.close()
    # whatever failed is closed again
    working = source(serial="0")
    working.open()
    assert read(working).number == 1


def test_a_file_that_is_no_producer(source: Open, tmp_path: Path) -> None:
    (tmp_path / "none.cti").write_bytes(b"no library")
    with pytest.raises(
        SourceError, match=r"^the GenTL producer .*none\.cti of the source press cannot be loaded \(Failed"
    ):
        source(producer=str(tmp_path / "none.cti")).open()


def test_what_is_no_plain_image(source: Open) -> None:
    frames = source(nodes={"GenDCStreamingMode": "On"})
    frames.open()
    with pytest.raises(SourceError, match=r"must send plain images, got the payload type 11: switch off GenDC"):
        read(frames)


def test_a_camera_that_fails_is_opened_again(source: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "onlygood.station")
    frames = source(nodes={"AcquisitionFrameRate": 200})
    settings = frames._settings
    with Capture(frames, settings) as capture:
        assert capture.next(DEADLINE_S) is not None
        # the producer ends what waits for images, as it does when a camera is unplugged
        frames._arrived.unregister_event()
        wait_until(lambda: capture.status.reconnects == 1, "it is opened again")
        capture.next(0.0)
        assert capture.next(DEADLINE_S) is not None
    assert "source press: the camera of the source press was lost (" in caplog.text


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from onlygood import _extras

    find_spec = _extras.find_spec
    monkeypatch.setattr(_extras, "find_spec", lambda name: None if name == "genicam" else find_spec(name))
    expected = r"^a GenICam camera needs genicam, which is not installed: run pip install 'onlygood\[genicam\]'$"
    with pytest.raises(MissingExtraError, match=expected):
        make_source(GenicamSource(name="press", producer="x.cti"))
