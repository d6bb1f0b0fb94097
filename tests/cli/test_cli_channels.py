"""Images of several channels and transparent ones, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tifffile
from PIL import Image

import onlygood
from command_line import FAST, Ran, one_sentence
from textures import DEFECT, SIZE, Array, save, texture

GOOD = 10


def spectral(seed: int, channels: int = 4) -> Array:
    return np.stack([texture(50 * seed + channel) for channel in range(channels)], axis=2)


def cut_out(seed: int) -> Array:
    """A part of four bands as PNG has them: the fourth is half opaque, as transparency."""
    image = spectral(seed)
    image[:, :, 3] = 0
    image[10:80, 12:84, 3] = 255
    return image


def save_tiffs(folder: Path, images: dict[str, Array], *, planar: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, image in images.items():
        stored = np.ascontiguousarray(np.moveaxis(image, 2, 0)) if planar else image
        tifffile.imwrite(
            folder / name,
            stored,
            photometric="minisblack",
            planarconfig="separate" if planar else "contig",
            extrasamples=[0] * (image.shape[2] - 1),
        )
    return folder


@pytest.fixture
def bands(tmp_path: Path) -> Path:
    return save_tiffs(tmp_path / "good", {f"{seed}.tif": spectral(seed) for seed in range(GOOD)})


def test_four_bands_from_fit_to_heat_maps(bands: Path, tmp_path: Path, run: Callable[..., Ran]) -> None:
    model = tmp_path / "part.onnx"
    assert run("fit", bands, "-o", model, *FAST, "--report", tmp_path / "fit.html").code == 0
    assert "4 channels (1-3, 4)" in run("info", model).out
    bad = spectral(100)
    bad[(*DEFECT, 3)] = 0
    new = save_tiffs(tmp_path / "new", {"good.tif": spectral(101), "bad.tif": bad}, planar=True)
    ran = run("inspect", model, new, "--json", "--heatmaps", tmp_path / "maps", "--report", tmp_path / "new.html")
    found = {line["name"]: line["score"] for line in map(json.loads, ran.out.splitlines())}
    assert found["bad.tif"] > 0
    assert found["bad.tif"] > found["good.tif"]
    with Image.open(tmp_path / "maps" / "bad.tif_heatmap.png") as drawn:
        assert drawn.mode == "RGB"
        # On the left the image as a person is shown it: the first three channels.
        np.testing.assert_array_equal(np.asarray(drawn)[:, :SIZE], bad[:, :, :3])
    # Other commands take the images, too.
    assert run("calibrate", model, bands, "-o", tmp_path / "new.onnx").code == 2  # those that it has learned from
    more = save_tiffs(tmp_path / "more", {f"{seed}.tif": spectral(seed) for seed in range(200, 206)})
    assert run("calibrate", model, more, "-o", tmp_path / "new.onnx").code == 0
    assert run("explore", model, more, "-o", tmp_path / "map.html").code == 0
    for page in ("fit.html", "new.html", "map.html"):
        assert "data:image/jpeg;base64," in (tmp_path / page).read_text(encoding="utf-8")


def test_transparency_is_a_channel_or_a_mask_or_black(tmp_path: Path, run: Callable[..., Ran]) -> None:
    good = save(tmp_path / "good", {f"{seed}.png": cut_out(seed) for seed in range(GOOD)})
    images = save(tmp_path / "new", {"a.png": cut_out(100)})
    changed = cut_out(100)
    changed[:8, :8, :3] = 0  # below what is transparent
    save(tmp_path / "new", {"b.png": changed})
    scores = {}
    for name, options in (("channel", ["--channels", 4]), ("mask", ["--alpha", "mask"]), ("black", [])):
        model = tmp_path / f"{name}.onnx"
        assert run("fit", good, "-o", model, *FAST, *options).code == 0
        lines = map(json.loads, run("inspect", model, images, "--json").out.splitlines())
        scores[name] = {line["name"]: line["score"] for line in lines}
    assert scores["mask"]["a.png"] == scores["mask"]["b.png"]
    assert scores["black"]["a.png"] == scores["black"]["b.png"]
    assert scores["channel"]["a.png"] != scores["channel"]["b.png"]
    inspect = onlygood.Inspector(tmp_path / "mask.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "mask.onnx", providers=["CPUExecutionProvider"])
    (alone,) = session.run(["score"], {"image": changed[None]})
    assert float(alone[0]) == pytest.approx(inspect(tmp_path / "new" / "a.png").score, rel=1e-4)
    assert "with transparency as a mask" in run("info", tmp_path / "mask.onnx").out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--channels", 17], "channels must be a whole number from 1 to 16, got 17"),
        (
            ["--channels", 5],
            "good images must be readable, got none among 10: 0.tif must have 5 channels",
        ),
        (
            ["--alpha", "mask"],
            "alpha as a mask needs good images with transparent pixels, got 10 without",
        ),
    ],
)
def test_what_does_not_go_is_one_sentence(
    bands: Path, tmp_path: Path, run: Callable[..., Ran], options: list[object], sentence: str
) -> None:
    assert one_sentence(run("fit", bands, "-o", tmp_path / "part.onnx", *FAST, *options)).startswith(sentence)
    assert not (tmp_path / "part.onnx").exists()


def test_channels_that_differ_and_models_of_others_are_one_sentence(
    bands: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    odd = save_tiffs(tmp_path / "odd", {"odd.tif": spectral(1, 6)})
    ran = run("fit", bands, odd, "-o", tmp_path / "part.onnx", *FAST)
    assert one_sentence(ran).startswith("good images must all have one number of channels, got ")
    assert ran.err.endswith("odd.tif with 6 among images with 4 channels: fit one model for each\n")
    model = tmp_path / "part.onnx"
    assert run("fit", bands, "-o", model, *FAST).code == 0
    ran = run("inspect", model, odd)
    assert ran.code == 2
    assert "odd.tif must have 4 channels, got 6 channels: give images with as many" in ran.err
    seventeen = save_tiffs(tmp_path / "many", {"many.tif": spectral(1, 17)})
    assert "many.tif must have at most 16 channels, got 17: save those alone" in run("inspect", model, seventeen).err
    grey = save(tmp_path / "grey", {f"{seed}.png": texture(seed) for seed in range(GOOD)})
    assert run("fit", grey, "-o", model, *FAST).code == 0
    assert "must have 1 channel (grey) for this model, got 4 channels: give it" in run("inspect", model, bands).err
