"""`onlygood explore`: a page on which images lie near one another where a model sees them as alike."""

from __future__ import annotations

import argparse
from pathlib import Path

from onlygood.cli.console import EXIT_GOOD, complain, say, show
from onlygood.cli.options import add_running_options, chosen_limits
from onlygood.cli.trust import add_model_options

# As `onlygood.exploration.explore.MAX_IMAGES`, which is not imported for a help text alone.
MAX_IMAGES = 2000


def add_options(explore: argparse.ArgumentParser) -> None:
    """The options of `onlygood explore`."""
    explore.description = (
        "Draw a map of images as a model sees them: t-SNE of their embeddings, on one page for any "
        "browser. Exit code: 0 if it was written, 2 if it could not be."
    )
    explore.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    explore.add_argument(
        "folders",
        metavar="FOLDER",
        nargs="+",
        help="folders of images, each labelled by its name; of one folder, images are labelled by its sub-folders "
        "(masks in ground_truth are left out)",
    )
    explore.add_argument("-o", "--output", required=True, metavar="HTML", help="the page to write (.html)")
    explore.add_argument(
        "--reference", metavar="FOLDER", help="images of other things to compare with, in a sub-folder for each class"
    )
    explore.add_argument(
        "--max-images",
        type=int,
        default=MAX_IMAGES,
        metavar="N",
        help=f"most images on the map, drawn evenly from the folders where there are more (default: {MAX_IMAGES})",
    )
    explore.add_argument(
        "--perplexity",
        type=float,
        metavar="P",
        help="about how many neighbours of each image t-SNE looks at (default: 30, or a third of the other images "
        "where that is less)",
    )
    explore.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    explore.add_argument(
        "--backbone",
        metavar="ONNX",
        help="the backbone whose end the fit trained, where it is not one of those shipped: for the map before "
        "training",
    )
    add_running_options(explore)
    add_model_options(explore)
    explore.set_defaults(command=run_explore)


def run_explore(options: argparse.Namespace) -> int:
    """`onlygood explore`."""
    from onlygood._files import check_writable
    from onlygood.exploration.explore import explore
    from onlygood.report import exploration_path, write_exploration

    check_writable(exploration_path(options.output))
    limits = chosen_limits(options)
    exploration = explore(
        options.model,
        options.folders,
        reference=options.reference,
        max_images=options.max_images,
        perplexity=options.perplexity,
        seed=options.seed,
        backbone=options.backbone,
        provider=options.provider,
        threads=options.threads,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
        progress=not options.quiet,
    )
    for note in exploration.notes:
        say(f"note: {note}")
    for _, reason in exploration.unreadable:
        complain(f"onlygood: {reason}")
    if exploration.before_note is not None:
        say(f"note: {exploration.before_note}")
    write_exploration(
        options.output,
        exploration,
        model_name=Path(options.model).name,
        threads=options.threads,
        limits=limits,
        progress=not options.quiet,
    )
    found, shown = sum(label.found for label in exploration.labels), len(exploration.images)
    unreadable = f", {len(exploration.unreadable)} not readable" if exploration.unreadable else ""
    show(f"{options.output}: {shown} of {found} images in {len(exploration.labels)} folders{unreadable}")
    return EXIT_GOOD
