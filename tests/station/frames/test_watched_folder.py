"""A folder into which other programs write: each image once, when it is whole, also across restarts."""

import io
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import onlygood
from onlygood.errors import SourceError, StoreError
from onlygood.images.limits import ReadingLimits
from onlygood.station.frames import Frame
from onlygood.station.frames.folder import FolderFrames
from onlygood.station.station_settings import FolderSource
from rtsp_server import numbered_image
from scripted import DEADLINE_S, wait_until


class Record:
    """The keys of what was inspected, as a database has them."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.there: list[set[str]] = []
        self.is_down = False

    def is_seen(self, key: str) -> bool:
        if self.is_down:
            raise StoreError("the database is not there")
        return key in self.keys

    def still_there(self, keys: Sequence[str]) -> None:
        if self.is_down:
            raise StoreError("the database is not there")
        self.there.append(set(keys))

    def add(self, *frames: Frame) -> None:
        self.keys += [frame.key for frame in frames if frame.key is not None]


Open = Callable[..., FolderFrames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "incoming"
    path.mkdir()
    return path


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    """Opens watched folders that look often, and closes them in the end."""
    sources = []

    def open_one(settle_s: float = 0.0, patience_s: float = 3600.0, **more: Any) -> FolderFrames:
        settings = FolderSource(name="belt", path=str(folder), settle_s=settle_s)
        source = FolderFrames(settings, patience_s=patience_s, **{"look_every_s": 0.05, **more})
        sources.append(source)
        source.open()
        return source

    yield open_one
    for source in sources:
        source.close()


def encoded(number: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(numbered_image(number, 32, 256)).save(file, kind)
    return file.getvalue()


def write(path: Path, number: int, modified_at: float | None = None) -> bytes:
    content = encoded(number, "JPEG" if path.suffix == ".jpg" else "PNG")
    path.write_bytes(content)
    if modified_at is not None:
        os.utime(path, (modified_at, modified_at))
    return content


def take(source: FolderFrames, count: int) -> list[Frame]:
    """So many images, and certainty that there is no further one: all files were looked at once more, twice."""
    found: list[Frame] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert time.monotonic() < deadline, f"waited for {count} images, got {[frame.name for frame in found]}"
        if (frame := source.read(0.05)) is not None:
            found.append(frame)
    for _ in range(2):
        source._look_at = 0.0
        further = source.read(0.0)
        assert further is None, further and further.name
    return found


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


def test_each_image_once_the_oldest_first(folder: Path, opened: Open) -> None:
    contents = {
        "c.jpg": write(folder / "c.jpg", 1, modified_at=1000),
        "a.png": write(folder / "a.png", 2, modified_at=2000),
        "b.png": write(folder / "b.png", 3, modified_at=2000),
    }
    frames = take(opened(), 3)
    assert names(frames) == ["c.jpg", "a.png", "b.png"]
    assert [frame.number for frame in frames] == [1, 2, 3]
    assert [frame.content for frame in frames] == list(contents.values())
    assert all(frame.pixels is None and frame.problem is None and frame.page is None for frame in frames)
    assert len({frame.key for frame in frames}) == 3


def test_folders_below_also_those_that_come_later(folder: Path, opened: Open) -> None:
    (folder / "lot 1").mkdir()
    write(folder / "lot 1" / "a.png", 1)
    source = opened()
    assert names(take(source, 1)) == ["lot 1/a.png"]
    (folder / "lot 2" / "deep").mkdir(parents=True)
    write(folder / "lot 2" / "deep" / "a.png", 1)
    write(folder / "lot 1" / "b.png", 2)
    assert sorted(names(take(source, 2))) == ["lot 1/b.png", "lot 2/deep/a.png"]


def test_a_file_that_is_written_slowly_comes_once_and_whole(folder: Path, opened: Open) -> None:
    source = opened(settle_s=0.1)
    contents = {f"{number}.{kind}": encoded(number, kind.upper()) for number, kind in enumerate(("png", "jpeg", "bmp"))}

    def write_slowly() -> None:
        files = [(folder / name).open("wb", buffering=0) for name in contents]
        for part in range(40):
            for file, content in zip(files, contents.values(), strict=True):
                step = -(-len(content) // 40)
                file.write(content[part * step : (part + 1) * step])
            time.sleep(0.005)
        for file in files:
            file.close()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    frames = take(source, 3)
    writer.join()
    assert {frame.name: frame.content for frame in frames} == contents


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp"])
def test_a_truncated_file_is_waited_for(folder: Path, opened: Open, kind: str) -> None:
    whole = encoded(1, kind.upper())
    path = folder / f"part.{kind}"
    path.write_bytes(whole[:-20])
    source = opened()
    assert take(source, 0) == []
    with path.open("ab") as file:
        file.write(whole[-20:])
    assert take(source, 1)[0].content == whole


def test_space_that_was_reserved_is_no_whole_file(folder: Path, opened: Open) -> None:
    whole = encoded(1, "JPEG")
    path = folder / "part.jpg"
    path.write_bytes(whole[:500] + bytes(len(whole) - 500))
    source = opened()
    assert take(source, 0) == []
    path.write_bytes(whole)
    assert take(source, 1)[0].content == whole


def test_what_never_becomes_whole_is_said_once(folder: Path, opened: Open) -> None:
    truncated = encoded(1)[:-20]
    (folder / "cut.png").write_bytes(truncated)
    (folder / "text.png").write_bytes(b"no image at all, but long enough to look at")
    (folder / "empty.png").touch()
    record = Record()
    source = opened(patience_s=0.0, seen=record)
    frames = take(source, 3)
    problems = {frame.name: frame.problem for frame in frames}
    assert problems["empty.png"] == "empty.png must be an image file, and is empty: write it again"
    for name in ("cut.png", "text.png"):
        with pytest.raises(onlygood.ImageError) as error:
            onlygood.read_image((folder / name).read_bytes(), name=name)
        assert problems[name] == str(error.value)
    record.add(*frames)
    assert take(opened(patience_s=0.0, seen=record), 0) == []
    # written again, it is an image as any other
    (folder / "cut.png").write_bytes(encoded(1))
    assert [(frame.name, frame.problem) for frame in take(source, 1)] == [("cut.png", None)]


def test_what_was_recorded_is_not_given_after_a_restart(folder: Path, opened: Open) -> None:
    record = Record()
    for number in range(5):
        write(folder / f"{number}.png", number)
    first = opened(seen=record)
    given = [first.read(0.0) for _ in range(3)]
    # the station was killed while it inspected the third
    record.add(*(frame for frame in given[:2] if frame is not None))
    again = take(opened(seen=record), 3)
    assert sorted(names(again)) == sorted({f"{number}.png" for number in range(5)} - {given[0].name, given[1].name})  # type: ignore[union-attr]
    record.add(*again)
    assert take(opened(seen=record), 0) == []


def test_what_counts_as_new(folder: Path, opened: Open, tmp_path: Path) -> None:
    record = Record()

    def record_new(source: FolderFrames, count: int) -> list[str]:
        frames = take(source, count)
        record.add(*frames)
        return names(frames)

    write(folder / "a.png", 1)
    running = opened(seen=record)
    assert record_new(running, 1) == ["a.png"]
    os.utime(folder / "a.png")  # touched
    (folder / "a.png").write_bytes(encoded(1))  # written again as it was
    assert record_new(running, 0) == []
    write(folder / "a.png", 2)  # written over
    assert record_new(running, 1) == ["a.png"]
    (folder / "a.png").rename(folder / "b.png")
    assert record_new(running, 1) == ["b.png"]
    write(tmp_path / "outside.png", 3)
    (tmp_path / "outside.png").rename(folder / "c.png")
    assert record_new(running, 1) == ["c.png"]
    shutil.copy2(folder / "c.png", folder / "d.png")
    assert record_new(running, 1) == ["d.png"]
    os.utime(folder / "d.png")
    assert record_new(opened(seen=record), 0) == []
    assert len(record.keys) == len(set(record.keys)) == 5


def test_written_over_with_the_same_size_and_times(folder: Path, opened: Open) -> None:
    path = folder / "latest.bmp"
    path.write_bytes(encoded(1, "BMP"))
    os.utime(path, ns=(10**18, 10**18))
    source = opened()
    assert take(source, 1)
    path.write_bytes(encoded(2, "BMP"))
    os.utime(path, ns=(10**18, 10**18))
    assert take(source, 1)[0].content == encoded(2, "BMP")


def test_unfinished_hidden_and_other_files_are_left_out(
    folder: Path, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (".hidden.png", "a.png.part", "b.tmp", "c.jpg.crdownload", "d.png~", "notes.txt", "README"):
        write(folder / name, 1)
    (folder / ".cache").mkdir()
    write(folder / ".cache" / "a.png", 1)
    for name in ("clip.mp4", "another.mp4"):
        (folder / name).write_bytes(b"")
    source = opened()
    assert take(source, 0) == []
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "is a video (MP4), which is not read: save its frames as PNG images" in told[0]
    (folder / "a.png.part").rename(folder / "a.png")
    assert names(take(source, 1)) == ["a.png"]


def test_links_are_not_followed(folder: Path, opened: Open, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside / "secret.png", 1)
    (folder / "link.png").symlink_to(outside / "secret.png")
    (folder / "linked").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    (folder / "nowhere.png").symlink_to(tmp_path / "none.png")
    write(folder / "a.png", 2)
    source = opened()
    assert names(take(source, 1)) == ["a.png"]
    (folder / "later.png").symlink_to(outside / "secret.png")
    assert take(source, 0) == []


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    write(folder / "a.png", 1)
    link = tmp_path / "link"
    link.symlink_to(folder)
    source = FolderFrames(FolderSource(name="belt", path=str(link), settle_s=0.0))
    source.open()
    assert names(take(source, 1)) == ["a.png"]
    source.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_waited_for(folder: Path, opened: Open) -> None:
    os.mkfifo(folder / "pipe.png")
    assert take(opened(), 0) == []


def test_files_that_vanish(folder: Path, opened: Open) -> None:
    for number in range(4):
        write(folder / f"{number}.png", number, modified_at=1000 + number)
    source = opened()
    assert source.read(0.0) is not None
    (folder / "1.png").unlink()
    (folder / "2.png").rename(folder / "moved.png")
    assert sorted(names(take(source, 2))) == ["3.png", "moved.png"]


def test_files_that_may_not_be_read(folder: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "a.png", 1)
    write(folder / "b.png", 2)
    really_open, closed = os.open, {"a.png"}

    def refuse(path: Any, flags: int, *more: Any) -> int:
        # root may read everything, so that permissions cannot be taken away
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied")
        return really_open(path, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    record = Record()
    source = opened(patience_s=0.0, seen=record)
    frames = {frame.name: frame for frame in take(source, 2)}
    assert frames["a.png"].problem == "a.png cannot be read by this user (Permission denied): change its permissions"
    assert frames["a.png"].key is None and frames["a.png"].content is None
    assert frames["b.png"].problem is None
    record.add(*frames.values())
    closed.clear()
    (folder / "a.png").chmod(0o644)
    assert [(frame.name, frame.problem) for frame in take(source, 1)] == [("a.png", None)]


def test_a_file_of_too_many_bytes_is_said_and_not_read(folder: Path, opened: Open) -> None:
    content = write(folder / "large.png", 1)
    record = Record()
    limits = ReadingLimits(max_bytes=100)
    source = opened(seen=record, limits=limits)
    (frame,) = take(source, 1)
    assert frame.content is None
    expected = f"large.png has {len(content):,} bytes, the limit is 100: save it smaller, or raise the limit"
    assert frame.problem == expected
    record.add(frame)
    assert take(opened(seen=record, limits=limits), 0) == []


def test_each_page_of_a_tiff_is_an_image_of_its_own(folder: Path, opened: Open) -> None:
    pages = [Image.fromarray(numbered_image(number, 32, 256)) for number in range(3)]
    pages[0].save(folder / "pages.tiff", save_all=True, append_images=pages[1:])
    record = Record()
    first = opened(seen=record)
    frame = first.read(0.0)
    assert frame is not None and frame.page == 0
    record.add(frame)
    rest = take(opened(seen=record), 2)
    assert [frame.page for frame in rest] == [1, 2]
    assert frame.content is not None
    for page in (frame, *rest):
        assert page.content == frame.content
        pixels = onlygood.read_image(page.content, page=page.page)
        assert np.array_equal(pixels, numbered_image(page.page or 0, 32, 256))


def test_thousands_of_files_at_the_start(folder: Path, opened: Open) -> None:
    content = encoded(1)
    for number in range(2000):
        inside = folder / f"{number // 500}"
        inside.mkdir(exist_ok=True)
        (inside / f"{number}.png").write_bytes(content)
    record = Record()
    frames = take(opened(seen=record), 2000)
    assert len(set(names(frames))) == len({frame.key for frame in frames}) == 2000


def test_a_folder_that_disappears_and_returns(folder: Path, opened: Open) -> None:
    write(folder / "a.png", 1)
    source = opened()
    assert names(take(source, 1)) == ["a.png"]
    away = folder.with_name("away")
    folder.rename(away)
    with pytest.raises(
        SourceError, match=r"^the folder of the source belt is not there: .* does not exist: check the path"
    ):
        wait_until(lambda: source.read(0.0) is not None, "it says that the folder is gone")
    source.close()
    with pytest.raises(SourceError):
        source.open()
    away.rename(folder)
    write(folder / "b.png", 2)
    source.open()
    assert names(take(source, 1)) == ["b.png"]


def test_a_folder_that_is_put_in_the_place_of_another(folder: Path, opened: Open) -> None:
    source = opened()
    assert take(source, 0) == []
    shutil.rmtree(folder)
    folder.mkdir()
    write(folder / "a.png", 1)
    frames: list[Frame] = []

    def read() -> bool:
        try:
            frame = source.read(0.05)
        except SourceError:
            source.open()
            return False
        frames.extend([frame] if frame is not None else [])
        return bool(frames)

    wait_until(read, "the image in the new folder comes")
    write(folder / "b.png", 2)
    assert names(take(source, 1)) == ["b.png"]


def test_events_may_be_lost(
    folder: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import watchfiles

    def refuse(*folders: str, **options: Any) -> Iterator[Any]:
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(watchfiles, "watch", refuse)
    source = opened()
    for number in range(3):
        (folder / f"lot {number}").mkdir()
        write(folder / f"lot {number}" / "a.png", number)
        assert names(take(source, 1)) == [f"lot {number}/a.png"]
    told = [record.getMessage() for record in caplog.records]
    expected = (
        "changes in folders are found by looking alone: the system does not tell them (OS file watch limit reached)"
    )
    assert told == [expected]


def test_events_are_told_where_the_system_can(folder: Path, opened: Open) -> None:
    source = opened(look_every_s=3600.0)
    write(folder / "a.png", 1)
    wait_until(lambda: (frame := source.read(0.05)) is not None and frame.name == "a.png", "the system tells of it")
    (folder / "lot").mkdir()
    write(folder / "lot" / "b.png", 2)
    wait_until(lambda: (frame := source.read(0.05)) is not None and frame.name == "lot/b.png", "of a new folder too")


def test_nothing_is_lost_while_the_database_is_down(folder: Path, opened: Open) -> None:
    record = Record()
    source = opened(seen=record)
    for number in range(3):
        write(folder / f"{number}.png", number)
    record.is_down = True
    with pytest.raises(StoreError):
        wait_until(lambda: source.read(0.05) is not None, "the database is asked")
    record.is_down = False
    source.close()
    source.open()
    assert len(take(source, 3)) == 3


def test_a_tiff_that_lacks_a_page_is_said_once(folder: Path, opened: Open) -> None:
    pages = [Image.fromarray(numbered_image(number, 32, 256)) for number in range(2)]
    pages[0].save(folder / "pages.tiff", save_all=True, append_images=pages[1:])
    content = (folder / "pages.tiff").read_bytes()
    damaged = bytearray(content)
    place = content.rfind(numbered_image(1, 32, 256).tobytes())
    assert place > 0
    (folder / "pages.tiff").write_bytes(bytes(damaged[: place + 100]))
    record = Record()
    (frame,) = take(opened(seen=record, patience_s=0.0), 1)
    assert frame.problem is not None and "pages.tiff" in frame.problem
    record.add(frame)
    assert take(opened(seen=record, patience_s=0.0), 0) == []


def test_a_file_on_a_drive_that_fails_is_tried_again(
    folder: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", 1)
    really_open, is_failing = os.open, [True]

    def fail(path: Any, flags: int, *more: Any) -> int:
        if is_failing[0] and Path(path).name == "a.png":
            raise OSError(5, "Input/output error")
        return really_open(path, flags, *more)

    monkeypatch.setattr(os, "open", fail)
    source = opened(patience_s=0.0)
    (frame,) = take(source, 1)
    assert frame.key is None
    expected = "a.png cannot be read by this user (Input/output error): check the drive and the network"
    assert frame.problem == expected
    is_failing[0] = False  # and nothing about the file changed
    assert [(frame.name, frame.problem) for frame in take(source, 1)] == [("a.png", None)]


@pytest.mark.skipif(os.name != "posix", reason="names of files are text there")
def test_a_name_that_is_no_text(folder: Path, opened: Open) -> None:
    path = os.fsencode(folder) + b"/caf\xe9.png"
    Path(os.fsdecode(path)).write_bytes(encoded(1))
    (frame,) = take(opened(), 1)
    assert frame.name == "caf\ufffd.png"
    frame.name.encode()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "^the folder of the source belt is not there: .*/none does not exist: check the path$"),
        (
            lambda path: path.write_bytes(b""),
            "^the folder of the source belt must be a folder, and .*/none is a file: give the folder that it lies in$",
        ),
    ],
)
def test_what_is_no_folder(tmp_path: Path, make: Callable[[Path], object], expected: str) -> None:
    make(tmp_path / "none")
    source = FolderFrames(FolderSource(name="belt", path=str(tmp_path / "none")))
    with pytest.raises(SourceError, match=expected):
        source.open()
    source.close()


def test_a_folder_that_may_not_be_read(folder: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    write(folder / "closed" / "a.png", 1)
    write(folder / "b.png", 1)
    really_scan, closed = os.scandir, {"closed"}

    def refuse(path: Any) -> Any:
        if Path(path).name in closed:
            raise PermissionError(13, "Permission denied")
        return really_scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    logger = logging.getLogger("onlygood.station")
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        source = opened()
        assert names(take(source, 1)) == ["b.png"]
    finally:
        logger.removeHandler(handler)
    inside = f"the folder closed in {folder} may not be read by this user: change its permissions"
    assert told == [f"in the folder of the source belt, {inside}"]
    closed.add("incoming")
    source.close()
    with pytest.raises(SourceError, match=r"^the folder of the source belt may not be read by this user: change"):
        source.open()


def test_the_record_is_told_what_still_lies_there(folder: Path, opened: Open) -> None:
    record = Record()
    for number in range(3):
        write(folder / f"{number}.png", number)
    with tifffile.TiffWriter(folder / "pages.tif") as pages:
        for number in range(2):
            pages.write(numbered_image(number, 32, 256))
    source = opened(seen=record)
    frames = [source.read(DEADLINE_S) for _ in range(4)]
    assert record.there == []  # not before all were looked into: those that are left out could be forgotten
    frames += take(source, 1)
    record.add(*filter(None, frames))
    assert record.there == [set(record.keys)] and len(record.there[0]) == 5

    # after a restart too, when none of them is new, and without those that are gone
    (folder / "0.png").unlink()
    again = opened(seen=record)
    assert take(again, 0) == []
    wait_until(lambda: again.read(0.0) is None and len(record.there) == 2, "it is told again")
    gone = next(frame.key for frame in frames if frame is not None and frame.name == "0.png")
    assert record.there[1] == set(record.keys) - {gone}

    # now and then, and later where the record is away
    source._tell_at = 0.0
    record.is_down = True
    source._look()
    assert len(record.there) == 2
    record.is_down = False
    source._look()
    assert len(record.there) == 2
    source._tell_at = 0.0
    source._look()
    assert record.there[2] == record.there[1]
    source._look()
    assert len(record.there) == 3
