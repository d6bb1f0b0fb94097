"""Image files: one for each content, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from onlygood.errors import StoreError
from onlygood.station.store.images import Images

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

EMPTY = hashlib.sha256(b"").hexdigest()


def images_in(folder: Path) -> Images:
    return Images(folder / "images", max_bytes=1 << 40, min_free_bytes=0)


def test_a_file_lies_where_its_digest_says(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    digest = images.hold(b"content")
    images.write(digest, b"content")
    assert digest == hashlib.sha256(b"content").hexdigest()
    assert images.path(digest) == tmp_path / "images" / digest[:2] / digest[2:4] / digest
    assert images.read(digest) == b"content"
    assert images.read(EMPTY) is None
    assert list((tmp_path / "images" / "unfinished").iterdir()) == []


def test_the_same_content_is_one_file(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    digest = images.hold(b"content")
    images.write(digest, b"content")
    before = images.path(digest).stat().st_ino
    images.write(images.hold(b"content"), b"content")
    assert images.path(digest).stat().st_ino == before
    assert images.kept_bytes == 7


def test_a_file_that_lost_its_end_is_written_again(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    digest = images.hold(b"content")
    images.write(digest, b"content")
    images.path(digest).write_bytes(b"con")
    with pytest.raises(StoreError, match="is damaged, its content is not what was written"):
        images.read(digest)
    images.write(digest, b"content")
    assert images.read(digest) == b"content"


def test_what_is_held_or_needed_stays(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    digest = images.hold(b"content")
    images.hold(b"content")
    images.write(digest, b"content")
    for _ in range(2):
        assert images.remove(digest, lambda _: False) is None
        images.release(digest)
    assert images.remove(digest, lambda asked: asked == digest) is None
    assert images.remove(digest, lambda _: False) == 7
    assert images.remove(digest, lambda _: False) is None
    assert (images.read(digest), images.kept_bytes) == (None, 0)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    digest = images.hold(b"content")
    (tmp_path / "images" / digest[:2]).write_bytes(b"a file in the way")
    with pytest.raises(OSError):
        images.write(digest, b"content")
    assert list((tmp_path / "images" / "unfinished").iterdir()) == []
    assert images.kept_bytes == 0


class AlmostFull(FileIO):
    """Takes some of the bytes and says how many, as files do on a disk that is almost full."""

    def write(self, block: Buffer) -> int:
        return super().write(memoryview(block)[:1000])


def test_every_byte_is_written_though_the_disk_takes_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = images_in(tmp_path)
    content = bytes(range(256)) * 20
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: AlmostFull(path, mode))
    digest = images.hold(content)
    images.write(digest, content)
    monkeypatch.undo()
    assert images.read(digest) == content


def test_what_the_disk_does_not_confirm_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_in(tmp_path)

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    digest = images.hold(b"content")
    with pytest.raises(OSError, match="Input/output error"):
        images.write(digest, b"content")
    monkeypatch.undo()
    assert (images.read(digest), images.kept_bytes) == (None, 0)
    assert [path for path in images.folder.rglob("*") if path.is_file()] == []
    images.write(digest, b"content")
    assert images.read(digest) == b"content"


def test_many_threads_write_the_same_images(tmp_path: Path) -> None:
    images = images_in(tmp_path)
    contents = [bytes([number]) * 5000 for number in range(20)]
    threads = [
        threading.Thread(target=lambda: [images.write(images.hold(content), content) for content in contents])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(digest for _, found in images.digests() for digest in found) == sorted(
        hashlib.sha256(content).hexdigest() for content in contents
    )
    assert images.kept_bytes == 20 * 5000


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"")
    with pytest.raises(StoreError, match=r"the folder of images .* must be writable"):
        images_in(tmp_path)
