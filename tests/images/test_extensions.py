import pytest

from onlygood.images import extensions
from onlygood.images.extensions import EXTRA_EXTENSIONS, READ_EXTENSIONS, UNREAD_EXTENSIONS, readable_extensions


def test_no_extension_has_two_meanings() -> None:
    tables = [*READ_EXTENSIONS, *EXTRA_EXTENSIONS, *UNREAD_EXTENSIONS]
    assert len(tables) == len(set(tables))
    assert all(extension.startswith(".") and extension == extension.lower() for extension in tables)


def test_an_extension_is_what_follows_the_last_dot_of_the_name() -> None:
    for name, extension in (
        ("a/b.c/part.PNG", ".png"),
        ("C:\\lot.7\\part.Tif", ".tif"),
        ("part", ""),
        (".png", ""),
        ("a.d/part", ""),
        ("part.tar.gz", ".gz"),
    ):
        assert extensions.extension_of(name) == extension


@pytest.mark.parametrize("extension", UNREAD_EXTENSIONS)
def test_what_is_not_read_is_named_and_answered(extension: str) -> None:
    sentence = extensions.why_not_taken(f"lot7/part{extension.upper()}")
    assert sentence is not None
    assert sentence.startswith(f"lot7/part{extension.upper()} is a")
    assert ", which is not read: " in sentence
    assert UNREAD_EXTENSIONS[extension].remedy


def test_a_video_says_that_it_is_one() -> None:
    sentence = extensions.why_not_taken("line3.mkv")
    assert sentence == "line3.mkv is a video (Matroska), which is not read: save its frames as PNG images"
    assert UNREAD_EXTENSIONS[".mkv"].is_video
    assert not UNREAD_EXTENSIONS[".psd"].is_video


@pytest.mark.parametrize("name", [f"part{extension}" for extension in READ_EXTENSIONS] + ["notes.txt", "part"])
def test_nothing_is_said_of_images_that_are_read_and_of_unknown_files(name: str) -> None:
    assert extensions.why_not_taken(name) is None


@pytest.mark.parametrize("installed", [True, False])
def test_images_of_an_extra_are_readable_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(extensions, "extra_is_installed", lambda _: installed)
    assert set(readable_extensions()) - set(READ_EXTENSIONS) == (set(EXTRA_EXTENSIONS) if installed else set())
    sentence = extensions.why_not_taken("scan.dcm")
    assert (sentence is None) == installed
    if sentence is not None:
        assert sentence == ("scan.dcm is a DICOM image, which is read with pydicom: run pip install 'onlygood[dicom]'")
