"""Fits that align their images, with every method, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import onlygood
from flat import fit
from mutations import sealed
from onlygood.errors import FolderError, ImageError, ModelFormatError, SettingError
from onlygood.graph.model_file import unpack
from onlygood.graph.template import GOLDEN
from parts import DEFECT, HEIGHT, WIDTH, part, place_of
from textures import FAST, Array, as_colour, numbered, save, texture, textures

GOOD = 12
# Where the parts to inspect lie: degrees, pixels to the right and down.
PLACES = [(0.0, 6.0, -4.0), (0.0, -9.0, 5.0)]
TURNED = [(25.0, 4.0, -3.0), (-140.0, -3.0, 4.0)]


def lying(place: tuple[float, float, float], seed: int, **how: Any) -> Array:
    degrees, right, down = place
    return part(seed, degrees=degrees, right=right, down=down, **how)


def anywhere(motion: str, count: int = GOOD, start: int = 0) -> list[Array]:
    """Good parts that lie anywhere."""
    random = np.random.default_rng(start)
    most = 180.0 if motion == "rigid" else 0.0
    return [
        part(start + seed, degrees=random.uniform(-most, most), right=random.uniform(-8, 8), down=random.uniform(-6, 6))
        for seed in range(count)
    ]


def outputs(model: onlygood.Model, names: list[str], *images: Array) -> list[Array]:
    """What a plain session of the file gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.file.content, options, providers=["CPUExecutionProvider"])
    batch = np.stack([image.reshape(*image.shape[:2], -1) for image in images])
    return list(session.run(names, {"image": batch}))


@pytest.fixture(scope="module")
def rigid() -> onlygood.Model:
    return fit(anywhere("rigid"), align="rigid", align_to=part(), **FAST)


def test_a_plain_runtime_gives_what_an_inspector_gives(method: str, fast: dict[str, Any]) -> None:
    model = fit(anywhere("rigid"), method=method, align="rigid", align_to=part(), **fast)
    inspect = onlygood.Inspector(model)
    images = [lying(TURNED[0], 100), lying(TURNED[1], 101, defect=True)]
    scores, maps, where = outputs(model, ["score", "anomaly_map", "alignment"], *images)
    for number, image in enumerate(images):
        alone = inspect(image)
        assert scores[number] == pytest.approx(alone.score, rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(maps[number], alone.anomaly_map, rtol=1e-3, atol=1e-3)
        turned = (where[number][0] - TURNED[number][0] + 180) % 360 - 180
        assert turned == pytest.approx(0, abs=0.5)
        assert where[number][1:3] == pytest.approx(TURNED[number][1:], abs=0.5)


@pytest.mark.parametrize("align", ["translation", "rigid"])
def test_where_a_part_lies_does_not_change_what_is_said_of_it(align: str) -> None:
    model = fit(anywhere(align), align=align, **FAST)
    inspect = onlygood.Inspector(model)
    places = PLACES if align == "translation" else TURNED
    good = [inspect(lying(place, 100 + number)).score for number, place in enumerate(places)]
    bad = [inspect(lying(place, 100 + number, defect=True)) for number, place in enumerate(places)]
    assert max(good) < min(each.score for each in bad)
    for each, place in zip(bad, places, strict=True):
        assert each.anomaly_map is not None
        found = np.unravel_index(each.anomaly_map.argmax(), each.anomaly_map.shape)
        assert np.hypot(*np.subtract(found, place_of(DEFECT, *place))) < 9


def test_without_alignment_parts_that_lie_elsewhere_are_called_anomalous() -> None:
    # What the test above shows would show nothing otherwise.
    still = [part(seed, right=seed % 3 - 1.0, down=seed % 2 - 0.5) for seed in range(GOOD)]
    plain, aligned = fit(still, **FAST), fit(still, align="translation", align_to=part(), **FAST)
    image = part(100, right=10, down=-8)
    assert onlygood.Inspector(plain)(image).is_anomaly
    assert not onlygood.Inspector(aligned)(image).is_anomaly


def test_a_part_that_is_half_out_of_view_is_called_anomalous() -> None:
    model = fit(anywhere("translation"), align="translation", align_to=part(), **FAST)
    inspect = onlygood.Inspector(model)
    image = part(100, right=44)
    found = inspect(image)
    (where,) = outputs(model, ["alignment"], image)
    assert where[0, 1] == pytest.approx(44, abs=1)
    assert found.is_anomaly
    # What the golden sample does not show of this image is called typical.
    assert found.anomaly_map is not None
    assert (found.anomaly_map[:, :42] == np.float32(model.metadata.map_levels.typical)).all()
    assert not (found.anomaly_map[:, 46:] == np.float32(model.metadata.map_levels.typical)).all(axis=0).any()


def test_the_region_of_interest_is_one_of_the_golden_sample() -> None:
    # Looked at is the right half of the part, with the hole; the defect lies in the left one.
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:76, WIDTH // 2 + 4 : WIDTH // 2 + 40] = True
    for roi in (mask, mask & (np.add(*np.mgrid[:HEIGHT, :WIDTH]) < 165)):
        model = fit(anywhere("rigid", 20), align="rigid", align_to=part(), roi=roi, **FAST)
        inspect = onlygood.Inspector(model)
        for place in TURNED:
            plain, changed = inspect(lying(place, 100)), inspect(lying(place, 100, defect=True))
            spot = lying(place, 100)
            row, column = (round(each) for each in place_of((14.0, -4.0), *place))
            spot[row - 4 : row + 5, column - 4 : column + 5] = 250
            # The defect moves the part that is found by a hair, and is not looked at.
            assert abs(changed.score - plain.score) < 0.2 * (inspect(spot).score - plain.score)
            assert changed.anomaly_map is not None
            row, column = (round(each) for each in place_of((-28.0, 4.0), *place))
            assert changed.anomaly_map[row, column] == np.float32(model.metadata.map_levels.typical)


def test_tiles_are_those_of_the_aligned_image() -> None:
    model = fit(anywhere("translation"), align="translation", align_to=part(), tiles="64,16", **FAST)
    inspect = onlygood.Inspector(model)
    for number, place in enumerate(PLACES):
        plain, changed = inspect(lying(place, 100 + number)), inspect(lying(place, 100 + number, defect=True))
        assert changed.score > plain.score
        assert changed.anomaly_map is not None
        found = np.unravel_index(changed.anomaly_map.argmax(), changed.anomaly_map.shape)
        assert np.hypot(*np.subtract(found, place_of(DEFECT, *place))) < 9


@pytest.mark.parametrize("change", [as_colour, lambda image: image.astype(np.uint16) * 100], ids=["colour", "16 bits"])
def test_colour_and_sixteen_bits_are_aligned(change: Any) -> None:
    model = fit([change(image) for image in anywhere("rigid")], align="rigid", align_to=change(part()), **FAST)
    (where,) = outputs(model, ["alignment"], change(lying(TURNED[0], 100)))
    assert where[0][0] == pytest.approx(TURNED[0][0], abs=0.5)
    assert where[0][1:3] == pytest.approx(TURNED[0][1:], abs=0.5)


def test_the_golden_sample_is_a_typical_image() -> None:
    # Half a part and a part of a third of the size are no typical images; they stand where the search begins.
    images = [*anywhere("rigid", 5), part(50, scale=0.4), part(51, scale=0.3), *anywhere("rigid", 5, start=20)]
    model = fit(images, align="rigid", **FAST)
    facts = model.metadata.input.alignment
    assert facts is not None
    assert facts.golden_sample not in ("image 5", "image 6")
    assert facts.correlation > 0.9 > 0.7 > facts.chance
    assert facts.grid == (96, 128)
    assert (facts.motion, facts.most_degrees, facts.most_shift) == ("rigid", 180, 0.4)
    assert any(
        note.startswith(f"Images are aligned to {facts.golden_sample}, the good image that correlates best")
        for note in model.notes
    )
    again = fit(images, align="rigid", **FAST)
    assert again.file.content == model.file.content


def test_an_image_of_something_else_is_named() -> None:
    images = [*anywhere("translation", 11), texture(3, (HEIGHT, WIDTH))]
    model = fit(images, align="translation", align_to=part(), **FAST)
    (note,) = [note for note in model.notes if "cannot be aligned" in note]
    assert note.startswith("1 of 12 good images looked at cannot be aligned")
    assert "image 11" in note


def test_parts_further_away_than_can_be_undone_are_named() -> None:
    far = part(30, right=-62, size=(HEIGHT, 2 * WIDTH))
    images = [*(part(seed, size=(HEIGHT, 2 * WIDTH)) for seed in range(11)), part(31, right=-110, size=far.shape)]
    model = fit(images, align="translation", align_to=part(size=far.shape), **FAST)
    assert any("lie as far from the golden sample as can be undone" in note or "cannot be aligned" in note
               for note in model.notes)  # fmt: skip


def test_augmentations_of_a_golden_sample_are_aligned_to_it() -> None:
    model = fit([part()], golden=True, augment=12, align="translation", **FAST)
    facts = model.metadata.input.alignment
    assert facts is not None
    assert facts.golden_sample == "image 0"


def test_images_without_anything_in_common_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^alignment must have good images that show"):
        fit([texture(seed, (HEIGHT, WIDTH)) for seed in range(GOOD)], align="rigid", **FAST)
    # Turned parts cannot be shifted onto one another.
    with pytest.raises(SettingError, match="give align='rigid' where parts lie turned"):
        fit(anywhere("rigid"), align="translation", align_to=part(), **FAST)


def test_a_golden_sample_of_another_kind_is_refused(tmp_path: Path) -> None:
    images = anywhere("translation")

    def refused(align_to: Any, **settings: Any) -> str:
        with pytest.raises((SettingError, ImageError)) as caught:
            fit(images, align_to=align_to, **{"align": "translation", **settings}, **FAST)
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        return message

    assert refused(np.full((HEIGHT, WIDTH), 100, np.uint8)).startswith(
        "a golden sample must show something that images can be registered by, got the golden sample, whose levels"
    )
    assert refused(part(size=(128, 96))) == (
        "the golden sample must have the shape of the good images, 128 x 96 pixels, at any scale, got the golden "
        "sample of 96 x 128: choose one of these images"
    )
    assert "depth of the good images, 8 bits a channel, got the golden sample with 16" in refused(
        part().astype(np.uint16)
    )
    assert str(tmp_path / "none.png") in refused(tmp_path / "none.png")
    assert refused(part(), align=None) == (
        "align_to goes with align, got it without: add align='translation' or 'rigid', or leave align_to out"
    )


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(SettingError, match="align_degrees goes with align='rigid', got it with translation"):
        fit(textures(3), align="translation", align_degrees=10.0)
    with pytest.raises(SettingError, match="align_degrees must be above 0 and at most 180, got 200"):
        fit(textures(3), align="rigid", align_degrees=200.0)
    with pytest.raises(SettingError, match="rotations must be left out with align='rigid', got 8"):
        fit(textures(3), align="rigid", rotations=8)
    with pytest.raises(SettingError, match="alpha must be left out with align, got mask"):
        fit(textures(3), align="rigid", alpha="mask")
    with pytest.raises(SettingError, match="align must be one of translation, rigid, got 'affine'"):
        fit(textures(3), align="affine")


def test_a_golden_sample_at_another_scale_is_taken(rigid: onlygood.Model) -> None:
    large = part(size=(2 * HEIGHT, 2 * WIDTH), scale=2)
    model = fit(anywhere("rigid"), align="rigid", align_to=large, **FAST)
    images = [lying(TURNED[0], 100)]
    (one,), (other,) = outputs(model, ["alignment"], *images), outputs(rigid, ["alignment"], *images)
    np.testing.assert_allclose(one, other, atol=0.5)


def test_the_description_is_that_of_the_graph(rigid: onlygood.Model) -> None:
    def refused(edit: Any, **facts: Any) -> str:
        model = onnx.load_model_from_string(rigid.file.content)
        edit(model)
        (entry,) = [each for each in model.metadata_props if each.key == "onlygood"]
        described = json.loads(entry.value)
        if facts.pop("without", False):
            del described["input"]["alignment"]
        else:
            described["input"]["alignment"] |= facts
        entry.value = json.dumps(described)
        with pytest.raises(ModelFormatError) as caught:
            unpack(sealed(model), "x.onnx")
        return str(caught.value)

    def other_golden(model: onnx.ModelProto) -> None:
        (tensor,) = [each for each in model.graph.initializer if each.name == GOLDEN]
        array = numpy_helper.to_array(tensor).copy()
        array[0, 0, 5000] += 1
        tensor.CopyFrom(numpy_helper.from_array(array, GOLDEN))

    def same(model: onnx.ModelProto) -> None:
        pass

    another = "must align images to the golden sample that its description says"
    assert f"{another}, the golden sample at 128 x 96 pixels, got another" in refused(other_golden)
    assert another in refused(same, grid=[128, 96, 1][:2], sha256="0" * 64)
    assert f"{another}, none, got one" in refused(same, without=True)
    assert "must undo the turns that its description says, rigid up to 90 degrees, got 180" in refused(
        same, most_degrees=90
    )
    assert "must undo the turns" in refused(same, motion="translation")


@pytest.mark.parametrize(("name", "value"), [("padding_mode", b"wrap"), ("align_corners", 7)])
def test_sampling_in_another_way_is_refused(rigid: onlygood.Model, name: str, value: Any) -> None:
    model = onnx.load_model_from_string(rigid.file.content)
    node = next(node for node in model.graph.node if node.op_type == "GridSample")
    (attribute,) = [each for each in node.attribute if each.name == name]
    attribute.CopyFrom(onnx.helper.make_attribute(name, value))
    with pytest.raises(ModelFormatError, match=f"must have a value of '{name}' that `onlygood fit` could have written"):
        unpack(sealed(model), "x.onnx")


def test_images_of_a_hundred_megapixels_are_within_the_bounds_of_cost(rigid: onlygood.Model) -> None:
    rigid.file.costs.check((1, 10_000, 10_000, 1))


def test_several_channels_are_aligned_by_their_mean() -> None:
    def channels(image: Array) -> Array:
        return np.stack([image, image // 2, 255 - image // 4, image // 3 + 40], axis=-1)

    model = fit([channels(image) for image in anywhere("rigid")], align="rigid", align_to=channels(part()),
                channels=4, **FAST)  # fmt: skip
    (where,) = outputs(model, ["alignment"], channels(lying(TURNED[0], 100)))
    assert where[0][0] == pytest.approx(TURNED[0][0], abs=0.5)
    assert where[0][1:3] == pytest.approx(TURNED[0][1:], abs=0.5)


def test_an_old_description_without_alignment_is_of_a_graph_without(model: onlygood.Model) -> None:
    assert model.metadata.input.alignment is None
    assert "alignment" not in model.metadata.to_dict()["input"]


def test_the_command_line(run: Any, tmp_path: Path) -> None:
    good = save(tmp_path / "good", numbered(anywhere("translation")))
    save(tmp_path, {"golden.png": part()})
    options = ("--input-size", 64, "--bank-size", 300)
    ran = run(
        *("fit", good, "-o", tmp_path / "part.onnx", "--align", "translation"),
        *("--align-to", tmp_path / "golden.png", *options),
    )
    assert ran.code == 0, ran.err
    assert "note: Images are aligned to" in ran.err
    metadata = onlygood.Inspector(tmp_path / "part.onnx").metadata
    assert metadata.input.alignment is not None
    assert metadata.settings["align"] == "translation"
    missing = run("fit", good, "-o", tmp_path / "x.onnx", "--align", "rigid", "--align-to", tmp_path / "none.png")
    assert missing.code == 2
    assert "none.png" in missing.err
    alone = run("fit", good, "-o", tmp_path / "x.onnx", "--align-to", tmp_path / "golden.png")
    assert alone.code == 2
    assert "align_to goes with align" in alone.err
    assert not (tmp_path / "x.onnx").exists()


def test_unreadable_images_are_reported_as_without_alignment(tmp_path: Path) -> None:
    good = save(tmp_path / "good", numbered(anywhere("translation")))
    (good / "broken.png").write_bytes(b"no image")
    with pytest.raises(FolderError, match="cannot be read"):
        fit(good, align="translation", **FAST)
    assert fit(good, align="translation", skip_unreadable=True, **FAST).metadata.good_images.unreadable == 1
