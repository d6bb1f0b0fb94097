"""`onlygood update`: good images join a model that was fitted before, or are taken out, without the old ones."""

from __future__ import annotations

import argparse

from onlygood.cli.console import EXIT_GOOD, say, say_json, show
from onlygood.cli.options import PATHS_HELP, add_settings, chosen_limits, given_paths
from onlygood.cli.trust import add_model_options
from onlygood.settings import FitSettings


def add_options(update: argparse.ArgumentParser) -> None:
    """The options of `onlygood update`."""
    update.description = (
        "Add good images to a model, or take some out, without those that it was fitted with: memory and threshold "
        "become what a fit to all images would give. Without -o the model file itself is replaced, once the new one is "
        "verified. Models of methods that train a network are fitted again instead."
    )
    update.add_argument("model", metavar="MODEL", help="a model file that fit, calibrate or update wrote")
    update.add_argument("--add", metavar="GOOD", nargs="+", help=f"further good images: {PATHS_HELP}")
    update.add_argument(
        "--remove",
        metavar="WHAT",
        nargs="+",
        help="images to take out: names as they were called, update:3 or update:NAME for all that came with an update "
        "(update:0 for those of the fit), a text file (.txt) with one of these a line, or folders and images that are "
        "found by their pixels",
    )
    update.add_argument("-o", "--output", metavar="NEW", help="the model file to write (.onnx; default: MODEL itself)")
    update.add_argument("--name", help="of this update, to speak of it later, such as lot-17")
    update.add_argument(
        "--accept-anomalous",
        action="store_true",
        help="take images also where the model calls more than half of them anomalous",
    )
    add_settings(update, FitSettings, "group_by", "skip_unreadable", "max_pixels", "max_bytes", with_defaults=True)
    update.add_argument(
        "--backbone", metavar="PATH", help="the backbone's file, for a model that was fitted with one by its path"
    )
    update.add_argument("--threads", type=int, default=0, help="images worked on at once; 0 for one a core")
    add_model_options(update)
    update.set_defaults(command=run_update)


def run_update(options: argparse.Namespace) -> int:
    """`onlygood update`."""
    from onlygood._replacing import Replacing
    from onlygood.report.facts import update_sentences
    from onlygood.updating import update

    output = options.output or options.model
    # Before the model is read, so that nothing that is written after that goes unnoticed.
    replacing = Replacing(output)
    limits = chosen_limits(options)
    model = update(
        options.model,
        given_paths(options.add) if options.add else None,
        remove=options.remove,
        name=options.name,
        group_by=options.group_by,
        accept_anomalous=options.accept_anomalous,
        skip_unreadable=options.skip_unreadable,
        backbone=options.backbone,
        threads=options.threads,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
        progress=not options.quiet,
    )
    replacing.write(model.file.content)
    for note in model.notes:
        say(f"note: {note}")
    show(f"{output}: {update_sentences(model.metadata)[-1]}")
    for sentence in model.guarantee.sentences:
        show(sentence)
    if options.verbose:
        say_json(model.metadata.to_dict())
    return EXIT_GOOD
