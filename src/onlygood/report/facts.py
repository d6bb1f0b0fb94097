"""What a page says of the model and of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onlygood.machine import machine_facts, versions_of
from onlygood.report.showing import show_count


def model_facts(metadata: dict[str, Any], model_name: str) -> list[tuple[str, str]]:
    """What the model is, from its metadata, as names and values; what a method does not have is left out."""
    kind, pictures = metadata["input"], metadata["good_pictures"]
    black, white = kind["window"]
    colour = "grey" if kind["channels"] == 1 else "colour"
    facts = [
        ("File", model_name),
        ("Method", metadata["method"]),
        ("Takes", f"{kind['dtype']}, {colour}, any size, levels {black:g} to {white:g}"),
        ("Resized to", f"{kind['input_size']} x {kind['input_size']} pixels"),
    ]
    if "backbone" in metadata:
        backbone = metadata["backbone"]
        facts.append(("Backbone", f"{backbone['description']} ({backbone['licence']})"))
    facts += [
        (
            "Learned from",
            f"{pictures['count']:,} good pictures of {_span(pictures['widths'])} x {_span(pictures['heights'])} pixels",
        ),
        ("Calibration", f"{metadata['calibration']['method']}, {metadata['promise']['groups']:,} independent groups"),
        ("Asked for", f"a false-alarm rate of {metadata['promise']['asked_rate']:g}"),
        ("Promise", metadata["promise"]["statement"]),
        ("Made with", ", ".join(f"{name} {version}" for name, version in metadata["made_with"].items())),
        ("Digest of the model", metadata["content_sha256"]),
        ("Digest of its pictures", pictures["sha256"]),
    ]
    return facts


def machine_sentence() -> str:
    """What this page was made on."""
    facts, versions = machine_facts(), versions_of("onnxruntime", "numpy")
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    hardware = f"{facts['processor']}, {show_count(facts['cores'], 'core')}"
    return f"{hardware}; {facts['system']}; Python {facts['python']}, {libraries}."


def _span(bounds: Sequence[int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low} to {high}"
