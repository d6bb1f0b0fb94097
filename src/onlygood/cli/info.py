"""`onlygood info`: what a model file is, guarantees and was made from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from onlygood.cli.console import EXIT_GOOD, show, show_json
from onlygood.cli.trust import add_model_options


def add_options(info: argparse.ArgumentParser) -> None:
    """The options of `onlygood info`."""
    info.description = "What a model file is, what it guarantees, and what it was made from."
    info.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    add_model_options(info)
    info.add_argument("--json", action="store_true", help="the whole description as JSON")
    info.set_defaults(command=run_info)


def run_info(options: argparse.Namespace) -> int:
    """`onlygood info`."""
    from onlygood.graph.model_file import read_model_file
    from onlygood.graph.signature import fingerprint_in

    file = read_model_file(
        options.model, max_bytes=options.max_model_bytes, require_signature=options.require_signature
    )
    metadata = file.metadata
    if options.json:
        show_json(metadata.to_dict(), sort_keys=True)
        return EXIT_GOOD
    from onlygood.report.facts import (
        augmentations_beside,
        input_shape,
        looked_at_sentences,
        recalibration_sentences,
        takes_sentence,
        update_sentences,
    )

    images, kind = metadata.good_images, metadata.input
    backbone = {}
    if metadata.backbone is not None:
        backbone["backbone"] = f"{metadata.backbone.description} ({metadata.backbone.licence})"
    lines = {
        "model": options.model,
        "format": metadata.format,
        "method": metadata.title,
        **backbone,
        "takes": f"{takes_sentence(kind)}, resized to {input_shape(kind)}",
        "made from": f"{images.count} good images, {_span(images.widths)} x {_span(images.heights)} "
        f"pixels, digest {images.sha256[:12]}{augmentations_beside(metadata)}",
        "made with": ", ".join(f"{name} {version}" for name, version in metadata.made_with.items()),
        "guarantee": metadata.guarantee.statement,
    }
    if file.kept is not None:
        lines["updates"] = f"can be updated: keeps {len(file.kept) / 1e6:.1f} MB for it"
    signed_by = fingerprint_in(file.content)
    if signed_by is not None:
        lines["signed by"] = f"the key {signed_by}, " + (
            "which is the one required"
            if options.require_signature
            else "not checked: give it with --require-signature"
        )
    said = [
        *lines.items(),
        *(("looks at", sentence) for sentence in looked_at_sentences(kind)),
        *(("threshold", sentence) for sentence in recalibration_sentences(metadata)),
        *(("update", sentence) for sentence in update_sentences(metadata)),
        *(("note", note) for note in metadata.notes),
    ]
    for name, value in said:
        show(f"{name + ':':<11}{value}")
    return EXIT_GOOD


def _span(bounds: Sequence[int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low}-{high}"
