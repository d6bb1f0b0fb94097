"""The README's road from a network of timm to a backbone, with a small network that has timm's manners."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import onlygood
from flat import fit
from onlygood.backbones.backbone import load_backbone

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_an_exported_network_is_a_backbone_that_gives_the_networks_own_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra backbone")
    import onnxruntime

    monkeypatch.syspath_prepend(str(SCRIPTS))
    export_timm = __import__("export_timm")

    class FeatureInfo:
        def channels(self) -> list[int]:
            return [4, 8, 16]

        def reduction(self) -> list[int]:
            return [2, 4, 8]

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = torch.nn.ModuleList(torch.nn.Conv2d(a, b, 2, 2) for a, b in ((3, 4), (4, 8), (8, 16)))
            self.feature_info = FeatureInfo()

        def forward(self, pixels):  # type: ignore[no-untyped-def]
            maps = []
            for stage in self.stages:
                pixels = stage(pixels).relu()
                maps.append(pixels)
            return maps

    torch.manual_seed(0)
    network = Network().eval()
    card = {"description": "a test", "mean": [0, 0, 0], "std": [255, 255, 255], "licence": "none", "source": "here"}
    path = export_timm.export_features(network, tmp_path, name="small", input_size=64, taps=[1, 2], described=card)

    backbone = load_backbone(path)
    assert [(tap.name, tap.channels, tap.reduction) for tap in backbone.card.taps] == [("tap1", 8, 4), ("tap2", 16, 8)]
    pixels = np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32)
    ours = onnxruntime.InferenceSession(backbone.model.SerializeToString()).run(["tap1", "tap2"], {"pixels": pixels})
    with torch.no_grad():
        theirs = network(torch.from_numpy(pixels))[1:]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-5)
    good = list(np.random.default_rng(1).integers(0, 255, (12, 70, 80, 3), dtype=np.uint8))
    model = fit(good, backbone=str(path), false_alarm_rate=0.1, bank_size=50)
    assert model.metadata.backbone.name == "small"
    with pytest.raises(onlygood.SettingError, match="128"):
        fit(good, backbone=str(path), input_size=128)
    assert "torch" in sys.modules, "this test is about the exporter; fit itself needs none of it"
