"""`onlygood drift`: whether the process has changed since the fit."""

from __future__ import annotations

import argparse

from onlygood.cli.console import EXIT_ANOMALY, EXIT_ERROR, EXIT_GOOD, complain, say, show, show_json
from onlygood.cli.options import PATHS_HELP, add_running_options, chosen_limits, given_paths
from onlygood.cli.trust import add_model_options
from onlygood.cli.values import rate

# As `onlygood.monitoring.drift` has them, which is not imported for a help text alone.
_ORDERS = ("name", "time")


def add_options(drift: argparse.ArgumentParser) -> None:
    """The options of `onlygood drift`."""
    drift.description = (
        "Say whether the process that gives these images has changed since the fit, since when and in what way. The "
        "images need no labels; nothing is learned from them. Exit code: 0 without drift, 1 with drift, 2 on an error."
    )
    drift.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    drift.add_argument("images", metavar="IMAGES", nargs="+", help=PATHS_HELP)
    drift.add_argument(
        "--order",
        choices=_ORDERS,
        default="name",
        help="in which the images came: by name, with numbers by their value, or by the time at which each file was "
        "last written (default: %(default)s)",
    )
    drift.add_argument(
        "--state",
        metavar="JSON",
        help="go on from the runs before, which this file keeps; it is begun where it is not there, and written at the "
        "end. Give new images alone",
    )
    drift.add_argument(
        "--false-drift-rate",
        type=rate,
        metavar="RATE",
        help="the largest probability of ever calling a process drift that never changes, however many images come, "
        "such as 0.01 or 1%% (default: 0.01, or that of the state)",
    )
    drift.add_argument(
        "--baseline",
        type=int,
        metavar="N",
        help="compare with the first N images instead of the calibration scores in the model, for a process that "
        "differs from the fit and is right as it is; at least 20 (default: 0, or that of the state)",
    )
    drift.add_argument("--json", action="store_true", help="everything as one JSON object on stdout")
    add_running_options(drift)
    add_model_options(drift)
    drift.set_defaults(command=run_drift)


def run_drift(options: argparse.Namespace) -> int:
    """`onlygood drift`."""
    from onlygood.inspector import Inspector
    from onlygood.monitoring.drift import drift

    limits = chosen_limits(options)
    inspector = Inspector(
        options.model,
        provider=options.provider,
        threads=1,  # several images at once, each on one thread
        with_map=False,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
    )
    result = drift(
        inspector,
        given_paths(options.images),
        order=options.order,
        state=options.state,
        false_drift_rate=options.false_drift_rate,
        baseline=options.baseline,
        threads=options.threads,
        progress=not options.quiet,
    )
    for _, reason in result.unreadable:
        complain(f"onlygood: {reason}")
    for note in result.notes:
        say(f"note: {note}")
    if options.json:
        show_json({"model": options.model, **result.to_dict()})
    else:
        for sentence in result.sentences:
            show(sentence)
    if result.unreadable:
        return EXIT_ERROR
    return EXIT_ANOMALY if result.is_drift else EXIT_GOOD
