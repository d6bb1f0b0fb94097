"""Images of 2, 4 and 12 channels, and transparency as a mask, with every method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tifffile

import onlygood
from flat import POOLED_METHODS, TRAINED_METHODS, fit
from onlygood.errors import FolderError, ImageError, ImageFormatError, SettingError
from textures import DEFECT, SIZE, Array, texture, twelve_bit

GOOD = 12
COUNTS = (2, 4, 12)
REMEMBERING = pytest.mark.parametrize("method", ["patch", *POOLED_METHODS], scope="session")


def several(seed: int, channels: int) -> Array:
    """A good image of one thing in several lights: each channel is the texture and something of its own."""
    shared = texture(seed).astype(np.float64)
    own = np.stack([texture(1000 + 16 * seed + channel) for channel in range(channels)], axis=2)
    return np.rint(0.5 * shared[:, :, None] + 0.5 * own).astype(np.uint8)


def with_defect_in(image: Array, channel: int) -> Array:
    changed = image.copy()
    changed[(*DEFECT, channel)] = 0
    return changed


def with_alpha(seed: int, *, below: int = 0, channels: int = 3) -> Array:
    """A part that was cut out, with its transparency; `below` chooses the noise that transparent pixels hide."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    mask = ((rows - 48) / 38) ** 2 + ((columns - 46 - seed % 4) / 34) ** 2 < 1
    hidden = np.random.default_rng(below).integers(0, 256, (SIZE, SIZE, channels), dtype=np.uint8)
    return np.dstack([np.where(mask[:, :, None], several(seed, channels), hidden), np.where(mask, 255, 0)]).astype(
        np.uint8
    )


def settings_for(method: str, fast: dict[str, Any], make: Any) -> dict[str, Any]:
    """Settings with which a fit is quick; references of doc are images of as many channels."""
    settings = dict(fast)
    if method in TRAINED_METHODS:
        settings |= {"epochs": 30 if method == "discriminator" else 2, "calibration": "split"}
    if method == "doc":
        settings["reference"] = {
            "other textures": [make(700 + number) // 2 for number in range(3)],
            "inverted": [255 - make(800 + number) for number in range(3)],
        }
        if make is with_alpha:
            for images in settings["reference"].values():
                for image in images:
                    image[:, :, -1] = 255
    if method == "deep-svdd":
        settings["pretrain_epochs"] = 1
    return settings


@pytest.fixture(scope="session")
def kept() -> dict[tuple[str, int], onlygood.Model]:
    return {}


@pytest.fixture(params=COUNTS)
def channels(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def model(
    kept: dict[tuple[str, int], onlygood.Model], method: str, fast: dict[str, Any], channels: int
) -> onlygood.Model:
    """A model of each method on images of so many channels."""
    if (method, channels) not in kept:
        settings = settings_for(method, fast, lambda seed: several(seed, channels))
        good = [several(seed, channels) for seed in range(GOOD)]
        kept[method, channels] = fit(good, method=method, channels=channels, **settings)
    return kept[method, channels]


def run_alone(model: onlygood.Model, images: list[Array]) -> dict[str, Array]:
    """What the file gives in plain ONNX Runtime for a batch."""
    session = onnxruntime.InferenceSession(model.file.content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": np.stack(images)}), strict=True))


def test_the_file_alone_gives_what_an_inspector_gives(model: onlygood.Model, channels: int, tmp_path: Path) -> None:
    images = [several(100, channels), with_defect_in(several(101, channels), channels - 1)]
    inspect = onlygood.Inspector(model)
    alone = [inspect(image) for image in images]
    found = run_alone(model, images)
    np.testing.assert_allclose(found["score"], [each.score for each in alone], rtol=1e-4, atol=1e-4)
    assert [float(str(value)) for value in found["p_value"]] == [each.p_value for each in alone]
    for row, each in zip(found["anomaly_map"], alone, strict=True):
        assert each.anomaly_map is not None
        assert row.shape == (SIZE, SIZE)
        np.testing.assert_allclose(row, each.anomaly_map, rtol=1e-4, atol=1e-4)
    path = tmp_path / "part.onnx"
    model.save(path)
    loaded = onlygood.Inspector(path)
    assert loaded.metadata == model.metadata
    assert loaded.metadata.input.channels == channels
    assert [loaded(image).score for image in images] == [each.score for each in alone]


@REMEMBERING
def test_a_defect_in_any_one_channel_raises_the_score(model: onlygood.Model, channels: int) -> None:
    inspect = onlygood.Inspector(model)
    good = inspect(several(100, channels)).score
    for channel in range(channels):
        assert inspect(with_defect_in(several(100, channels), channel)).score > good, channel


# Pooled methods take the mean over the groups.
@pytest.mark.parametrize("method", ["patch", "discriminator"], scope="session")
def test_the_order_of_channels_matters(model: onlygood.Model, channels: int) -> None:
    inspect = onlygood.Inspector(model)
    image = several(100, channels)
    image[:, :, 0] //= 2
    assert inspect(image).score != inspect(np.ascontiguousarray(image[:, :, ::-1])).score


def test_files_of_both_layouts_are_what_arrays_are(model: onlygood.Model, channels: int, tmp_path: Path) -> None:
    image = several(100, channels)
    inspect = onlygood.Inspector(model)
    expected = inspect(image).score
    for planar in ("contig", "separate"):
        path = tmp_path / f"{planar}.tif"
        stored = np.ascontiguousarray(np.moveaxis(image, 2, 0)) if planar == "separate" else image
        extra = [0] * (channels - 1)
        tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar, extrasamples=extra)
        assert inspect(path).score == expected


def test_another_number_of_channels_is_refused(model: onlygood.Model, channels: int) -> None:
    inspect = onlygood.Inspector(model)
    for other in (1, 3, 5):
        with pytest.raises(
            ImageFormatError, match=rf"^part must have {channels} channels, got {other} channel"
        ) as found:
            inspect(several(100, other), name="part")
        assert ": give images with as many as are asked for, or as the good images of the model had" in str(found.value)


def test_noise_below_transparent_pixels_changes_nothing(method: str, fast: dict[str, Any]) -> None:
    settings = settings_for(method, fast, with_alpha)
    model = fit([with_alpha(seed) for seed in range(GOOD)], method=method, alpha="mask", **settings)
    again = fit([with_alpha(seed, below=1) for seed in range(GOOD)], method=method, alpha="mask", **settings)
    assert again.calibration.scores.tolist() == model.calibration.scores.tolist()
    assert model.metadata.input.alpha == "mask"
    assert model.metadata.input.image_channels == 4
    inspect = onlygood.Inspector(model)
    one, other = inspect(with_alpha(100)), inspect(with_alpha(100, below=2))
    threshold = model.calibration.threshold
    assert other.score + threshold == pytest.approx(one.score + threshold, rel=1e-5)
    assert one.p_value == other.p_value
    assert one.anomaly_map is not None
    assert other.anomaly_map is not None
    np.testing.assert_allclose(one.anomaly_map, other.anomaly_map, rtol=1e-4, atol=1e-5)
    # Outside, the map is at one level.
    outside = with_alpha(100)[:, :, 3] == 0
    assert len(set(one.anomaly_map[outside].tolist())) == 1
    # A plain runtime is given the image as any reader gives it, transparency as it is.
    raw = run_alone(model, [with_alpha(100), with_alpha(100, below=2)])["score"]
    np.testing.assert_allclose(raw + threshold, one.score + threshold, rtol=1e-4)


def test_a_defect_is_found_where_it_is_opaque_and_only_there() -> None:
    model = fit([with_alpha(seed) for seed in range(GOOD)], alpha="mask", input_size=64, bank_size=300)
    inspect = onlygood.Inspector(model)
    good, inside, outside = (with_alpha(100) for _ in range(3))
    inside[(*DEFECT, slice(0, 3))] = 0
    outside[:10, :10, :3] = 0
    assert inspect(inside).score > inspect(good).score
    assert inspect(outside).score == pytest.approx(inspect(good).score, rel=1e-5)
    # An image without transparency is looked at as a whole.
    whole = inspect(several(100, 3))
    assert whole.anomaly_map is not None
    assert len(set(whole.anomaly_map[0].tolist())) > 1


@pytest.mark.parametrize(
    "keywords",
    [
        {"golden": True, "augment": 12},
        {"augment": 16},
        {"rotations": 4},
        {"rotations": 8},
        {"sizes": (64,)},
        {"tiles": 64},
        {"roi": np.arange(SIZE)[:, None] + np.arange(SIZE) < 150},
    ],
    ids=lambda keywords: next(iter(keywords)),
)
@pytest.mark.parametrize("kind", ["several", "alpha"])
def test_other_settings_go_with_them(kind: str, keywords: dict[str, Any]) -> None:
    def make(seed: int) -> Array:
        image = with_alpha(seed) if kind == "alpha" else several(seed, 4)
        return np.tile(image, (2, 2, 1)) if "tiles" in keywords else image

    good = [make(seed) for seed in range(1 if "golden" in keywords else GOOD)]
    chosen: dict[str, Any] = {"alpha": "mask"} if kind == "alpha" else {"channels": 4}
    model = fit(good, input_size=64, bank_size=200, false_alarm_rate=0.2, **chosen, **keywords)
    inspect = onlygood.Inspector(model)
    image = make(100)
    defect = image.copy()
    defect[(*DEFECT, slice(0, 3))] = 0
    assert inspect(defect).score > inspect(image).score
    found = run_alone(model, [image, defect])["score"]
    np.testing.assert_allclose(found, [inspect(image).score, inspect(defect).score], rtol=1e-4, atol=1e-4)


def test_levels_of_groups_are_their_own() -> None:
    def rgbd(seed: int) -> Array:
        depth = (texture(500 + seed) // 8).astype(np.uint16) + 400  # a few millimetres
        return np.dstack([*(twelve_bit(seed + 20 * channel) for channel in range(3)), depth])

    model = fit([rgbd(seed) for seed in range(GOOD)], channels=4, input_size=64, bank_size=200, false_alarm_rate=0.2)
    windows = model.metadata.input.windows
    assert windows is not None
    (colour, depth) = windows
    assert colour == model.metadata.input.window
    assert colour[1] > 2000
    assert depth[1] < 1000
    bumped = rgbd(100)
    bumped[(*DEFECT, 3)] += 40
    inspect = onlygood.Inspector(model)
    assert inspect(bumped).score > 3 * abs(inspect(rgbd(100)).score)
    given = fit([rgbd(seed) for seed in range(GOOD)], channels=4, window=(0, 5000), input_size=64, bank_size=200)
    assert given.metadata.input.windows == ((0, 5000), (0, 5000))


def test_images_of_several_numbers_of_channels_are_refused() -> None:
    good = [several(seed, 5) for seed in range(4)]
    with pytest.raises(FolderError, match=r"^good images must all have one number of channels, got image 4 with 6 "):
        onlygood.fit([*good, several(9, 6)])
    with pytest.raises(FolderError, match=r"got image 4 with 5 among images with grey or colour: fit one model"):
        onlygood.fit([*(texture(seed) for seed in range(4)), several(9, 5)])
    with pytest.raises(FolderError, match=r"good images must be readable, got none among 4: .* must have 4 channels"):
        onlygood.fit(good, channels=4)
    with pytest.raises(SettingError, match="channels must be a whole number from 1 to 16, got 17"):
        onlygood.fit(good, channels=17)
    with pytest.raises(FolderError, match=r"at most 16 channels C, got \[96, 96, 17\]"):
        onlygood.fit([several(seed, 17) for seed in range(4)])


def test_a_mask_of_which_there_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="alpha as a mask needs good images with transparent pixels, got 4 with"):
        onlygood.fit([texture(seed) for seed in range(4)], alpha="mask")
    some = fit([texture(9), *(with_alpha(seed) for seed in range(6))], alpha="mask", input_size=64, bank_size=100)
    assert "1 of 7 good images have no transparent pixel: all of each is looked at." in some.notes


def test_one_batch_of_colour_and_grey_is_still_taken() -> None:
    good = [np.repeat(texture(seed)[:, :, None], 3, axis=2) for seed in range(5)] + [texture(9)]
    model = fit(good, channels=3, input_size=64, bank_size=100)
    assert model.metadata.input.channels == 3
    assert model.metadata.input.windows is None
    inspect = onlygood.Inspector(model)
    with pytest.raises(ImageError, match=r"must have 3 channels \(colour\) for this model, got 5 channels"):
        inspect(several(1, 5))


def test_references_of_doc_have_as_many_channels(fast: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    reference = {"a": [texture(seed) for seed in range(3)], "b": [texture(seed) // 2 for seed in range(3)]}
    with pytest.raises(FolderError, match="reference images must have as many channels as the good ones, 5, got 3: "):
        fit([several(seed, 5) for seed in range(6)], method="doc", reference=reference, input_size=64)
