"""The code of the pages for contributors is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from hostile import noise
from onlygood.backbones.backbone import Card
from onlygood.datasets import folders
from onlygood.errors import ImageError, ImageTooLargeError
from onlygood.images import extensions, reading, signatures
from onlygood.images.reading import ReadingLimits, read_image
from onlygood.inspector import Inspector
from textures import texture
from tiny_backbone import tiny_model

PAGES = Path(__file__).resolve().parents[1] / "docs" / "contributing"


def run_code_of(page: str) -> dict[str, Any]:
    """The names that the page's one block of Python defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": page}
    exec(compile(code, page, "exec"), names)
    return names


@pytest.fixture
def with_qoi(monkeypatch: pytest.MonkeyPatch) -> None:
    """QOI where the page says that it is named."""
    read_qoi = run_code_of("image-format.md")["read_qoi"]
    monkeypatch.setattr(signatures, "_READ", (*signatures._READ, (b"qoif", "QOI")))
    monkeypatch.setitem(reading._READERS, "QOI", read_qoi)
    monkeypatch.setattr(extensions, "READ_EXTENSIONS", (*extensions.READ_EXTENSIONS, ".qoi"))


@pytest.mark.usefixtures("with_qoi")
def test_the_reader_of_the_page_keeps_every_value(tmp_path: Path) -> None:
    colour = noise(1, 40, 30, 3)
    (tmp_path / "part.qoi").write_bytes(imagecodecs.qoi_encode(colour))
    (found,) = folders.find_images(tmp_path)
    np.testing.assert_array_equal(read_image(found.path), colour, strict=True)
    opaque, clear = (np.full((40, 30, 1), alpha, np.uint8) for alpha in (255, 0))
    got = read_image(imagecodecs.qoi_encode(np.concatenate([colour, opaque], axis=2)))
    np.testing.assert_array_equal(got, colour, strict=True)
    assert not read_image(imagecodecs.qoi_encode(np.concatenate([colour, clear], axis=2))).any()


@pytest.mark.usefixtures("with_qoi")
def test_the_reader_of_the_page_keeps_its_rules() -> None:
    data = imagecodecs.qoi_encode(noise(1, 40, 30, 3))
    assert imagecodecs.qoi_decode(data[: len(data) // 2]).shape == (40, 30, 3), "as the page says of half a file"
    for length in range(4, len(data)):
        with pytest.raises(ImageError):
            read_image(data[:length])
    with pytest.raises(ImageTooLargeError, match=r"has 30 x 40 = 1,200 pixels"):
        read_image(data, limits=ReadingLimits(max_pixels=1199))


def test_files_that_the_page_names_are_there() -> None:
    root = PAGES.parents[1]
    for page in PAGES.glob("*.md"):
        for named in re.findall(r"`((?:src|tests|scripts|docs)/[\w/.-]+)`", page.read_text(encoding="utf-8")):
            assert (root / named).exists(), f"{page.name} names {named}"
    text = (PAGES / "image-format.md").read_text(encoding="utf-8")
    for module, names in (
        (signatures, ("_READ", "_UNREAD")),
        (reading, ("_READERS", "_READABLE")),
        (extensions, ("READ_EXTENSIONS", "UNREAD_EXTENSIONS")),
    ):
        for name in names:
            assert f"`{name}`" in text and hasattr(module, name)


def test_the_example_of_a_backbone_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("network.onnx").write_bytes(tiny_model().SerializeToString())
    Path("good").mkdir()
    for seed in range(12):
        Image.fromarray(texture(seed, (64, 64))).save(f"good/{seed}.png")
    run_code_of("backbone.md")
    assert Inspector("part.onnx").metadata.backbone.licence == "Apache-2.0"


def test_the_table_of_the_card_has_all_of_its_fields() -> None:
    text = (PAGES / "backbone.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {"card", *Card.__dataclass_fields__}
    (example,) = re.findall(r"^card = (\{.*?^\})", text, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r'^    "(\w+)":', example, re.MULTILINE)) == named - {"levels", "patch_input_sizes"}
