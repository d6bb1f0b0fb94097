"""`onlygood calibrate`: another threshold for a model that was fitted before."""

from __future__ import annotations

import argparse

from onlygood.cli.console import EXIT_GOOD, say, say_json, show
from onlygood.cli.options import (
    PATHS_HELP,
    add_running_options,
    add_settings,
    add_threshold,
    chosen_limits,
    given_paths,
)
from onlygood.cli.trust import add_model_options
from onlygood.cli.values import rate
from onlygood.settings import FitSettings


def add_options(calibrate: argparse.ArgumentParser) -> None:
    """The options of `onlygood calibrate`."""
    calibrate.description = (
        "Write a copy of a model with another threshold. Without images it comes from the calibration "
        "scores in the model file; with images, which must be good and not among those that the model was fitted with, "
        "from their scores alone."
    )
    calibrate.add_argument("model", metavar="MODEL", help="a model file that fit or calibrate wrote")
    calibrate.add_argument("images", metavar="GOOD", nargs="*", help=f"new good images: {PATHS_HELP}")
    calibrate.add_argument("-o", "--output", required=True, metavar="NEW", help="the model file to write (.onnx)")
    calibrate.add_argument(
        "--false-alarm-rate",
        type=rate,
        metavar="RATE",
        help="share of good images that may be called anomalous, such as 0.05 or 5%% (default with images: the "
        "rate that the model was asked for before)",
    )
    add_threshold(calibrate, stays="needs neither images nor a rate")
    add_settings(calibrate, FitSettings, "group_by", with_defaults=True)
    add_running_options(calibrate)
    add_model_options(calibrate)
    calibrate.set_defaults(command=run_calibrate)


def run_calibrate(options: argparse.Namespace) -> int:
    """`onlygood calibrate`."""
    from onlygood._files import check_writable
    from onlygood.recalibration import calibrate

    check_writable(options.output)
    limits = chosen_limits(options)
    model = calibrate(
        options.model,
        given_paths(options.images) if options.images else None,
        false_alarm_rate=options.false_alarm_rate,
        threshold=options.threshold,
        group_by=options.group_by,
        provider=options.provider,
        threads=options.threads,
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
        progress=not options.quiet,
    )
    model.save(options.output)
    for note in model.notes:
        say(f"note: {note}")
    count = len(model.calibration.scores)
    source = f"{count} new good images" if options.images else f"the {count} calibration scores in {options.model}"
    what = f"threshold for a false-alarm rate of {model.calibration.requested_rate:g}, from {source}"
    if options.threshold is not None:
        what = f"threshold at score {options.threshold:+.4g} of {options.model}"
    show(f"{options.output}: {what}")
    for sentence in model.guarantee.sentences:
        show(sentence)
    if options.verbose:
        say_json(model.metadata.to_dict())
    return EXIT_GOOD
