"""Video files, through the reader that cameras share."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from onlygood.errors import MissingExtraError, SettingError, SourceError
from onlygood.station.frames import EndOfSource, Frame, make_source
from onlygood.station.frames.opencv import VideoReader, prepare_opencv
from onlygood.station.frames.video import VideoFrames
from onlygood.station.station_settings import VideoSource
from rtsp_server import number_of, numbered_image

prepare_opencv()
import cv2  # noqa: E402 - after it was told to be silent

FRAMES = 30
Make = Callable[..., VideoFrames]


def video(path: Path, frames: int = FRAMES, frames_per_s: float = 25.0, codec: str = "MJPG") -> Path:
    """A video whose frames say their numbers, from 0."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), frames_per_s, (320, 240))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.ascontiguousarray(numbered_image(number)[:, :, ::-1]))
    writer.release()
    return path


@pytest.fixture
def opened() -> Iterator[Make]:
    sources = []

    def open_one(path: Path, **more: bool) -> VideoFrames:
        source = VideoFrames(VideoSource(name="clip", path=str(path), **more))
        sources.append(source)
        source.open()
        return source

    yield open_one
    for source in sources:
        source.close()


def read(source: VideoFrames) -> Frame:
    frame = source.read(60.0)
    assert frame is not None
    return frame


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("clip.mp4", "mp4v"), ("clip.mkv", "mp4v")])
def test_every_frame_in_its_order(tmp_path: Path, opened: Make, name: str, codec: str) -> None:
    source = opened(video(tmp_path / name, codec=codec))
    assert not source.is_live
    frames = [read(source) for _ in range(FRAMES)]
    with pytest.raises(EndOfSource) as end:
        source.read(60.0)
    assert end.value.problem == ""
    assert [number_of(frame.pixels) for frame in frames if frame.pixels is not None] == list(range(FRAMES))
    assert [frame.number for frame in frames] == list(range(1, FRAMES + 1))
    first = frames[0]
    assert first.pixels is not None and first.pixels.dtype == np.uint8 and first.pixels.shape == (240, 320, 3)
    # red, green, blue, in this order
    assert np.abs(first.pixels[120, 160].astype(int) - (200, 90, 30)).max() < 6
    assert first.name == f"{name}-000001" and first.key is None and first.content is None


def test_opened_again_it_begins_again(tmp_path: Path, opened: Make) -> None:
    source = opened(video(tmp_path / "clip.avi"))
    assert read(source).number == read(source).number - 1 == 1
    source.close()
    source.close()
    source.open()
    first = read(source)
    assert first.number == 1 and first.pixels is not None and number_of(first.pixels) == 0


def test_repeated_it_has_no_end(tmp_path: Path, opened: Make) -> None:
    source = opened(video(tmp_path / "clip.avi", frames=3), repeats=True)
    frames = [read(source) for _ in range(10)]
    assert [number_of(frame.pixels) for frame in frames if frame.pixels is not None] == [0, 1, 2] * 3 + [0]
    assert [frame.number for frame in frames] == list(range(1, 11))


def test_at_its_own_speed_a_frame_comes_when_it_is_due(tmp_path: Path, opened: Make) -> None:
    # one in ten minutes: the second is not due while this test runs
    source = opened(video(tmp_path / "clip.avi", frames=3, frames_per_s=1 / 600), is_realtime=True)
    assert source.is_live
    assert source.read(0.0) is not None
    assert source.read(0.0) is None
    assert source.read(0.001) is None


def test_at_its_own_speed_all_come_to_who_is_fast_enough(tmp_path: Path, opened: Make) -> None:
    source = opened(video(tmp_path / "clip.avi", frames_per_s=1000.0), is_realtime=True)
    frames = [read(source) for _ in range(FRAMES)]
    assert [number_of(frame.pixels) for frame in frames if frame.pixels is not None] == list(range(FRAMES))


@pytest.mark.parametrize("name", ["image%03d.avi", "http:clip.avi", "rtsp:clip.avi", "Prüfung 1#2?.avi", "-i.avi"])
def test_a_name_is_a_name(tmp_path: Path, opened: Make, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    video(tmp_path / "clip.avi", frames=2).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    source = opened(Path(name))
    assert read(source).number == 1


def test_a_damaged_one_ends_and_says_so(tmp_path: Path, opened: Make) -> None:
    path = video(tmp_path / "clip.avi")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    source = opened(path)
    count = 0
    with pytest.raises(EndOfSource) as end:
        while read(source):
            count += 1
    assert 0 < count < FRAMES
    assert end.value.problem == (
        f"the video {path} of the source clip must have the {FRAMES} frames that it claims, and ended after {count}: "
        "save it again, as it is damaged"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "^the video of the source clip cannot be opened: .*clip.mp4 does not exist: check the path$"),
        (
            b"",
            "^the video of the source clip must be a video file, and .*clip.mp4 is empty: save it as MP4 with H.264$",
        ),
        (
            b"no video" * 1000,
            "^the video of the source clip must be a video file, and .*clip.mp4 is none that can be read",
        ),
    ],
)
def test_what_is_none(tmp_path: Path, opened: Make, content: bytes | None, expected: str, capfd: object) -> None:
    if content is not None:
        (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=expected):
        opened(tmp_path / "clip.mp4")
    assert capfd.readouterr() == ("", "")  # type: ignore[attr-defined]


def test_a_folder_is_none(tmp_path: Path, opened: Make) -> None:
    with pytest.raises(
        SourceError, match=r"^the video of the source clip must be a file, and .* is a folder: give one"
    ):
        opened(tmp_path)
    with pytest.raises(SettingError, match="must not be empty"):
        VideoFrames(VideoSource(name="clip", path=""))


def test_options_of_ffmpeg_hold_for_one_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, variable = video(tmp_path / "clip.avi", frames=2), "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    for before in (None, "rtsp_transport;tcp"):
        monkeypatch.delenv(variable, raising=False)
        if before is not None:
            monkeypatch.setenv(variable, before)
        reader = VideoReader()
        limits = {"open_timeout_s": 10.0, "read_timeout_s": 10.0}
        assert reader.open(str(path), "ffmpeg", ffmpeg_options="threads;1", **limits)  # type: ignore[arg-type]
        assert os.environ.get(variable) == before
        assert reader.read() is not None
        reader.close()
        assert reader.read() is None and reader.position_s == 0 and reader.claimed_frames == 0


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    from onlygood import _extras

    find_spec = _extras.find_spec
    monkeypatch.setattr(_extras, "find_spec", lambda name: None if name == "cv2" else find_spec(name))
    expected = (
        r"^a video file needs opencv-python-headless, which is not installed: run pip install 'onlygood\[station\]'$"
    )
    with pytest.raises(MissingExtraError, match=expected):
        make_source(VideoSource(name="clip", path="clip.mp4"))
