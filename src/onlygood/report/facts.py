"""What a page says of the model and of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onlygood._machine import machine_facts, versions_of
from onlygood.report.formatting import format_count


def model_facts(metadata: dict[str, Any], model_name: str) -> list[tuple[str, str]]:
    """What the model is, from its metadata, as names and values; what a method does not have is left out."""
    kind, images = metadata["input"], metadata["good_images"]
    black, white = kind["window"]
    colour = "grey" if kind["channels"] == 1 else "colour"
    facts = [
        ("File", model_name),
        ("Method", method_sentence(metadata)),
        ("Takes", f"{kind['dtype']}, {colour}, any size, levels {black:g} to {white:g}"),
        ("Resized to", f"{input_shape(kind)} pixels"),
    ]
    if "backbone" in metadata:
        backbone = metadata["backbone"]
        facts.append(("Backbone", f"{backbone['description']} ({backbone['licence']})"))
    facts += [
        (
            "Learned from",
            f"{images['count']:,} good images of {_span(images['widths'])} x {_span(images['heights'])} pixels"
            f"{augmentations_beside(metadata)}",
        ),
        ("Calibration", f"{metadata['calibration']['method']}, {metadata['guarantee']['groups']:,} independent groups"),
        ("Requested", f"a false-alarm rate of {metadata['guarantee']['requested_rate']:g}"),
        ("False alarms", metadata["guarantee"]["statement"]),
        *(("Threshold", sentence) for sentence in recalibration_sentences(metadata)),
        ("Made with", ", ".join(f"{name} {version}" for name, version in metadata["made_with"].items())),
        ("Digest of the model", metadata["content_sha256"]),
        ("Digest of its images", images["sha256"]),
    ]
    return facts


def recalibration_sentences(metadata: dict[str, Any]) -> list[str]:
    """A sentence for each time that the model was given another threshold after its fit, the first one first."""
    sentences = []
    # Files of before this could be done do not have the entry.
    for record in metadata.get("recalibrations", []):
        count, groups = record["images"], record["groups"]
        if record["from"] == "new good images":
            source = format_count(count, "new good image")
        else:
            source = format_count(count, "calibration score") + " in the model"
        source += f", in {format_count(groups, 'independent group')}" if groups < count else ""
        sentences.append(
            f"Calibrated again for a false-alarm rate of {record['requested_rate']:g} (before: "
            f"{record['requested_rate_before']:g}) from {source}; the model before has the digest "
            f"{record['model_sha256'][:12]}."
        )
    return sentences


def augmentations_beside(metadata: dict[str, Any]) -> str:
    """What is said of augmentations or turned copies behind the number of good images: nothing where none are."""
    # Files of before there were any do not have the numbers.
    rotations = metadata["guarantee"].get("rotations", 1)
    if rotations > 1:
        return f", each at {rotations} angles"
    augmentations = metadata["guarantee"].get("augmentations", 0)
    return f", and {format_count(augmentations, 'augmentation')} of them" if augmentations else ""


def method_sentence(metadata: dict[str, Any]) -> str:
    """The method and what is particular to it, in a line."""
    method: str = metadata["method"]
    if "patch" in metadata:
        patch = metadata["patch"]
        if "levels" in patch:
            levels = [
                f"{' x '.join(map(str, level['memory_bank']))} of {level['embedding_of']}" for level in patch["levels"]
            ]
            return f"{method}: memory banks of {', '.join(levels)}"
        bank, grid = " x ".join(map(str, patch["memory_bank"])), patch["grid"]
        return f"{method}: {bank} memory bank, {grid} x {grid} patches of {', '.join(patch['taps'])}"
    if "deep_svdd" in metadata:
        svdd, losses = metadata["deep_svdd"], metadata["training"]["losses"]
        epochs = " + ".join(f"{len(values)} epochs ({stage})" for stage, values in losses.items())
        nu = f", nu {svdd['nu']:g}" if svdd["objective"] == "soft-boundary" else ""
        return (
            f"{method}: network {svdd['network']}, {svdd['latent']}-dimensional latent space, objective "
            f"{svdd['objective']}{nu}, {epochs}, trained radius {svdd['trained_radius']:.4g}"
        )
    if "discriminator" in metadata:
        found, losses = metadata["discriminator"], metadata["training"]["losses"]["discriminator"]
        return (
            f"{method}: {found['hidden']} hidden units on patches ({' + '.join(found['taps'])}), "
            f"{format_count(len(losses), 'epoch')} on {found['patches']:,} good patches"
        )
    if "pooled" in metadata:
        pooled = metadata["pooled"]
        called = f"{method}, {metadata['doc']['head']}" if "doc" in metadata else method
        compared = f"{called}: {pooled['metric']} vectors, the mean of {pooled['tap']} over all places"
        if "templates" in pooled:
            noun = "neighbour" if pooled["num_neighbors"] == 1 else "neighbours"
            compared += f", {pooled['num_neighbors']} {noun} among {pooled['templates']:,} templates"
        if "doc" in metadata:
            doc, losses = metadata["doc"], metadata["training"]["losses"]["doc"]
            compared += (
                f"; the last {doc['trained_layers']} layers as after epoch {doc['chosen_epoch']} of {len(losses)} "
                f"beside {doc['reference']['count']:,} reference images of {len(doc['reference']['classes'])} classes"
            )
        return compared
    return method


def input_shape(described: dict[str, Any]) -> str:
    """Height and width of the network's input, of what metadata say of it; files of an older onlygood have one side."""
    height, width = described.get("input_shape") or [described["input_size"]] * 2
    return f"{height} x {width}"


def machine_sentence() -> str:
    """What this page was made on."""
    facts, versions = machine_facts(), versions_of("onnxruntime", "numpy")
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    hardware = f"{facts['processor']}, {format_count(facts['cores'], 'core')}"
    return f"{hardware}; {facts['system']}; Python {facts['python']}, {libraries}."


def _span(bounds: Sequence[int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low} to {high}"
