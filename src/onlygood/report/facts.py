"""What a page says of the model and of the machine."""

from __future__ import annotations

from collections.abc import Sequence

from onlygood._machine import machine_facts, versions_of
from onlygood.images.channels import channel_groups
from onlygood.metadata import InputFacts, Metadata
from onlygood.rates import DECIMAL, Notation
from onlygood.report.formatting import format_count


def model_facts(metadata: Metadata, model_name: str, notation: Notation) -> list[tuple[str, str]]:
    """What the model is, from its metadata, as names and values; what a method does not have is left out.

    Args:
        metadata: of the model.
        model_name: what the page calls it.
        notation: of its rates.
    """
    kind, images, guarantee = metadata.input, metadata.good_images, metadata.guarantee
    facts = [
        ("File", model_name),
        ("Method", metadata.title),
        ("Takes", takes_sentence(kind)),
        ("Resized to", f"{input_shape(kind)} pixels"),
        *(("Looks at", sentence) for sentence in looked_at_sentences(kind)),
    ]
    if metadata.backbone is not None:
        facts.append(("Backbone", f"{metadata.backbone.description} ({metadata.backbone.licence})"))
    facts += [
        (
            "Learned from",
            f"{images.count:,} good images of {_span(images.widths)} x {_span(images.heights)} pixels"
            f"{augmentations_beside(metadata)}",
        ),
        ("Calibration", f"{metadata.calibration.method}, {guarantee.groups:,} independent groups"),
        ("Requested", f"a false-alarm rate of {notation.share(guarantee.requested_rate, 6)}"),
        ("False alarms", " ".join(guarantee.sentences_in(notation))),
        *(("Threshold", sentence) for sentence in recalibration_sentences(metadata, notation)),
        *(("Update", sentence) for sentence in update_sentences(metadata, notation)),
        ("Made with", ", ".join(f"{name} {version}" for name, version in metadata.made_with.items())),
        ("Digest of the model", metadata.content_sha256),
        ("Digest of its images", images.sha256),
    ]
    return facts


def recalibration_sentences(metadata: Metadata, notation: Notation = DECIMAL) -> list[str]:
    """A sentence for each time that the model was given another threshold after its fit, the first one first."""
    sentences = []
    for record in metadata.recalibrations:
        count, groups = record.images, record.groups
        if record.source == "new good images":
            source = format_count(count, "new good image")
        else:
            source = format_count(count, "calibration score") + " in the model"
        source += f", in {format_count(groups, 'independent group')}" if groups < count else ""
        sentences.append(
            f"Calibrated again for a false-alarm rate of {notation.share(record.requested_rate, 6)} (before: "
            f"{notation.share(record.requested_rate_before, 6)}) from {source}; the model before has the digest "
            f"{record.model_sha256[:12]}."
        )
    return sentences


def update_sentences(metadata: Metadata, notation: Notation = DECIMAL) -> list[str]:
    """A sentence for each time that good images were added or taken out after the fit, the first one first."""
    sentences = []
    for record in metadata.updates:
        called = f"Update {record.number}" + (f" ({record.name})" if record.name else "") + f" of {record.at}"
        done = [
            f"{format_count(count, 'good image')} {what} (digest {str(digest)[:12]})"
            for count, digest, what in (
                (record.added, record.added_sha256, "added"),
                (record.removed, record.removed_sha256, "taken out"),
            )
            if count
        ]
        sentences.append(
            f"{called}: {' and '.join(done) or 'nothing changed'}, {format_count(record.images, 'good image')} "
            f"since; before, the threshold was {record.threshold_before:.6g} for a false-alarm rate of "
            f"{notation.share(record.stated_rate_before, 6)}, and the model had the digest {record.model_sha256[:12]}."
        )
    return sentences


def augmentations_beside(metadata: Metadata) -> str:
    """What is said of augmentations or turned copies behind the number of good images: nothing where none are."""
    if metadata.guarantee.rotations > 1:
        return f", each at {metadata.guarantee.rotations} angles"
    augmentations = metadata.guarantee.augmentations
    return f", and {format_count(augmentations, 'augmentation')} of them" if augmentations else ""


def takes_sentence(kind: InputFacts) -> str:
    """What images a model takes."""
    names = {1: "grey", 3: "colour (red, green, blue)"}
    channels = names.get(kind.channels) or f"{kind.channels} channels ({_groups(kind.channels)})"
    mask = "" if kind.alpha is None else " with transparency as a mask"
    levels = " and ".join(f"{black:g} to {white:g}" for black, white in dict.fromkeys(kind.windows or (kind.window,)))
    return f"{kind.dtype}, {channels}{mask}, any size, levels {levels}"


def _groups(channels: int) -> str:
    """Which channels go through the network together, counted from 1: "1-3, 4"."""
    return ", ".join(
        str(first + 1) if first == last else f"{first + 1}-{last + 1}" for first, _, last in channel_groups(channels)
    )


def looked_at_sentences(kind: InputFacts) -> list[str]:
    """What of an image a model looks at, and in which parts; none where it looks at whole images."""
    sentences = []
    if kind.region is not None:
        top, left, bottom, right = (f"{100 * side:.0f}%" for side in kind.region.box)
        box = f"the box from {left} to {right} of the width and from {top} to {bottom} of the height"
        share = kind.region.looked_at
        sentences.append(box if share == 1 else f"{100 * share:.0f}% of {box}")
    if kind.tiles is not None:
        height, width = kind.tiles.size
        size = f"{width} x {height} pixels of an image of {kind.tiles.image_size[1]} x {kind.tiles.image_size[0]}"
        sentences.append(f"{format_count(kind.tiles.count, 'tile')} of {size}")
    return sentences


def input_shape(kind: InputFacts) -> str:
    """Height and width of the network's input."""
    return f"{kind.input_shape[0]} x {kind.input_shape[1]}"


def machine_sentence() -> str:
    """What this page was made on."""
    facts, versions = machine_facts(), versions_of("onnxruntime", "numpy")
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    hardware = f"{facts['processor']}, {format_count(facts['cores'], 'core')}"
    return f"{hardware}; {facts['system']}; Python {facts['python']}, {libraries}."


def _span(bounds: Sequence[int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low} to {high}"
