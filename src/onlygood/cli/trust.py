"""Which model files a command takes: how large, and signed by whom."""

from __future__ import annotations

import argparse

# As `onlygood.graph.content.MAX_MODEL_BYTES`, which is not imported for a help text alone.
MAX_MODEL_BYTES = 1_000_000_000


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that reads a model file."""
    parser.add_argument(
        "--require-signature",
        metavar="KEY",
        help="refuse a model that is not signed by the holder of this key (the file .pub that `onlygood sign "
        "--new-key` wrote)",
    )
    parser.add_argument(
        "--max-model-bytes",
        type=int,
        default=MAX_MODEL_BYTES,
        metavar="BYTES",
        help=f"most bytes that the model file may have (default: {MAX_MODEL_BYTES})",
    )
