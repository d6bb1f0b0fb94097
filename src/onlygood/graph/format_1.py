"""Descriptions of format 1, brought to the newest format when they are read."""

from __future__ import annotations

from typing import Any

# What entries were called, wherever they stand, and what they are called now.
NAMES = {
    "promise": "guarantee",
    "asked_rate": "requested_rate",
    "asked_rate_before": "requested_rate_before",
    "promised_rate": "stated_rate",
    "good_pictures": "good_images",
    "calibration_pictures": "calibration_images",
    "fitted_pictures": "fitted_images",
    "golden_pictures": "golden_images",
    "reference_pictures": "reference_images",
    "pictures": "images",
    "remarkable": "high",
}
# Entries that said what a detector had learned, each under the name of its kind.
DETECTORS = ("patch", "pooled", "deep_svdd", "doc", "discriminator")
# Settings and card have names of their own.
_AS_THEY_ARE = ("settings", "backbone")


def from_format_1(metadata: dict[str, Any]) -> dict[str, Any]:
    """The description in the newest format, but for `format`, which says what the file has.

    Args:
        metadata: JSON values, as they are in the file.
    """
    found = {
        NAMES.get(name, name): value if name in _AS_THEY_ARE else _renamed(value) for name, value in metadata.items()
    }
    detector: dict[str, Any] = {}
    for kind in DETECTORS:
        part = found.pop(kind, {})
        detector |= part if isinstance(part, dict) else {}
    if detector:
        found["detector"] = detector
    if {"memory_bank", "grid", "taps"} <= set(detector):
        bank, grid = " x ".join(map(str, detector["memory_bank"])), detector["grid"]
        found["description"] = f"{bank} memory bank, {grid} x {grid} patches of {', '.join(detector['taps'])}"
    images = found.get("input")
    # The first files had one side of a square.
    if isinstance(images, dict) and "input_size" in images and "input_shape" not in images:
        found["input"] = {**images, "input_shape": [images["input_size"]] * 2}
    settings, card = found.get("settings"), found.get("backbone")
    if isinstance(settings, dict) and isinstance(card, dict) and _trained_a_tail(found["method"], settings):
        found["fine_tuned"] = {
            "backbone": settings["backbone"],
            "tap": settings["taps"][0] if settings["taps"] else card["taps"][-1]["name"],
            "layers": settings["trained_layers"],
        }
    return found


def _trained_a_tail(method: str, settings: dict[str, Any]) -> bool:
    return method == "doc" or (method == "deep-svdd" and settings.get("network") == "pretrained")


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {NAMES.get(name, name): _renamed(inner) for name, inner in value.items()}
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value
