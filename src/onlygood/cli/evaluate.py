"""`onlygood evaluate`: how good a model is on labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from onlygood._printable import printable
from onlygood.cli.console import EXIT_GOOD, complain, say, show, show_json
from onlygood.cli.options import (
    add_false_alarm_rate,
    add_running_options,
    add_threshold,
    check_report,
    rate_sentences,
)
from onlygood.cli.trust import add_model_options
from onlygood.cli.values import rate
from onlygood.rates import format_rate

if TYPE_CHECKING:
    from onlygood.evaluation.evaluate import Evaluation
    from onlygood.evaluation.figures import ImageFigures
    from onlygood.evaluation.rates import RateOutcome
    from onlygood.inspector import Inspector
    from onlygood.metrics.image import AurocEstimate, Proportion


def add_options(evaluate: argparse.ArgumentParser) -> None:
    """The options of `onlygood evaluate`."""
    evaluate.description = (
        "Measure a model on labelled images. The model stays as it is. Exit code: 0 if it was measured, "
        "whatever came out, 2 if it could not be."
    )
    evaluate.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    evaluate.add_argument(
        "images",
        metavar="TEST",
        help="a folder with good/ and a folder for each defect (MVTec layout: masks in ../ground_truth), or a CSV file "
        "with columns path,label[,mask][,defect][,session]",
    )
    evaluate.add_argument("--json", action="store_true", help="everything as one JSON object on stdout")
    evaluate.add_argument("--report", metavar="HTML", help="write a page to look at, and a CSV file beside it")
    evaluate.add_argument(
        "--group-by", help="what says which session an image is of: 'folder' or a regular expression, as for fit"
    )
    evaluate.add_argument("--cost-false-alarm", type=float, metavar="COST", help="of one good part refused")
    evaluate.add_argument(
        "--cost-miss",
        type=float,
        metavar="COST",
        help="of one anomalous part let through; with both costs, says which threshold would have been the cheapest",
    )
    evaluate.add_argument(
        "--anomaly-share",
        type=rate,
        metavar="SHARE",
        help="share of anomalous parts among all, such as 0.01 or 1%%, for the costs (default: as among the test "
        "images)",
    )
    add_false_alarm_rate(evaluate)
    add_threshold(evaluate)
    add_running_options(evaluate)
    add_model_options(evaluate)
    evaluate.set_defaults(command=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """`onlygood evaluate`."""
    from onlygood.evaluation.evaluate import evaluate
    from onlygood.inspector import Inspector

    if options.report:
        check_report(options.report)
    inspector = Inspector(
        options.model,
        false_alarm_rate=options.false_alarm_rate,
        threshold=options.threshold,
        provider=options.provider,
        threads=1,  # several images at once, each on one thread
        require_signature=options.require_signature,
        max_model_bytes=options.max_model_bytes,
        max_pixels=options.max_pixels,
        max_bytes=options.max_bytes,
    )
    evaluation = evaluate(
        inspector,
        options.images,
        group_by=options.group_by,
        cost_false_alarm=options.cost_false_alarm,
        cost_miss=options.cost_miss,
        anomaly_share=options.anomaly_share,
        threads=options.threads,
        progress=not options.quiet,
    )
    for _, reason in evaluation.unreadable:
        complain(f"onlygood: {reason}")
    for note in evaluation.notes:
        say(f"note: {note}")
    sentences = rate_sentences(inspector) if inspector.is_recalibrated else []
    if options.report:
        from onlygood.report import write_evaluation_report

        write_evaluation_report(
            options.report,
            evaluation,
            inspector,
            model_name=Path(options.model).name,
            threads=options.threads,
            progress=not options.quiet,
        )
    if options.json:
        for sentence in sentences:
            say(f"note: {sentence}")
        show_json({"model": options.model, "test": options.images, **evaluation.to_dict()})
    else:
        for sentence in sentences:
            show(sentence)
        apply = _how_to_apply(evaluation, inspector, options.model)
        _print(evaluation, f"{options.model} on {options.images}", apply=apply)
    return EXIT_GOOD


def _how_to_apply(evaluation: Evaluation, inspector: Inspector, model: str) -> str | None:
    """The commands that apply the advice on costs; None where there is none, or nothing to change."""
    score = None if evaluation.advice is None else evaluation.advice.applicable
    if score is None:
        return None
    if inspector.is_recalibrated:  # scores of this run are relative to another threshold than the file's
        metadata = inspector.metadata
        score += metadata.calibration.threshold - metadata.recalibrations[-1].threshold_before
    return (
        f"To apply it: onlygood inspect {model} IMAGES --threshold {score:.6g}; or in a new file: onlygood calibrate "
        f"{model} --threshold {score:.6g} -o NEW.onnx"
    )


def _print(evaluation: Evaluation, title: str, *, apply: str | None) -> None:
    image = evaluation.image
    unreadable = f", {len(evaluation.unreadable)} not readable" if evaluation.unreadable else ""
    show(f"{title}: {len(evaluation.images)} images, {image.good} good, {image.anomalous} anomalous{unreadable}")
    if image.misses is not None:
        found = image.misses.trials - image.misses.events
        show(f"Found {found} of {image.misses.trials} anomalous images; missed {_share(image.misses)}.")
    if evaluation.guarantee is not None:
        show(evaluation.guarantee.sentence)
    if evaluation.miss_sentence is not None:
        show(evaluation.miss_sentence)
    rows = {"all": image}
    rows |= {f"defect {printable(name)}": figures for name, figures in evaluation.per_defect.items()}
    rows |= {f"session {printable(name)}": figures for name, figures in evaluation.per_session.items()}
    width = max(len(name) for name in rows)
    show()
    show(
        f"{'':<{width}}  {'good':>5}  {'anom.':>5}  {'AUROC':<21}  {'AP':<5}  {'F1max':<5}  {'missed':<21}  "
        "false alarms"
    )
    for name, figures in rows.items():
        show(f"{name:<{width}}  {_row(figures)}".rstrip())
    _print_rates(evaluation)
    if evaluation.pixel is not None:
        metrics = evaluation.pixel.metrics
        show()
        show(
            f"Pixels, at the images' own size: AUROC {metrics.pixel_auroc:.4f}, AUPRO {metrics.aupro:.4f} (to a "
            f"false-positive rate of {metrics.fpr_limit:g}), average precision {metrics.pixel_average_precision:.4f}; "
            f"{evaluation.pixel.masks} masks with {metrics.regions} regions."
        )
    if evaluation.advice is not None:
        show()
        show(f"{evaluation.advice.sentence}")
        if apply is not None:
            show(apply)
    median, high = evaluation.latency_ms
    show()
    show(f"An image takes {median:.1f} ms on one thread (median; 95 % take at most {high:.1f} ms).")


def _print_rates(evaluation: Evaluation) -> None:
    """Misses and false alarms at several rates."""
    guarantee = evaluation.metadata.guarantee
    how = "cross-fitting" if guarantee.folds else "leave-one-out"
    approximate = "" if guarantee.is_exact else f", by {how}, hence approximate"
    show()
    show(
        f"Misses and false alarms by false-alarm rate: thresholds from the calibration scores in the model"
        f"{approximate}; measured on these test images"
    )
    show(f"{'rate':<6}  {'guaranteed':<10}  {'threshold':>10}  {'missed':<21}  false alarms")
    for outcome in evaluation.at_rates:
        missed = "-" if outcome.misses is None else _share(outcome.misses)
        alarms = "-" if outcome.false_alarms is None else _share(outcome.false_alarms)
        own = "  (the model's own)" if outcome.is_own else ""
        show(
            f"{outcome.requested_rate:<6g}  {_guaranteed(outcome):<10}  {outcome.threshold:>+10.4g}  "
            f"{missed:<21}  {alarms}{own}"
        )


def _guaranteed(outcome: RateOutcome) -> str:
    return "estimated" if outcome.guaranteed_rate is None else format_rate(outcome.guaranteed_rate)


def _row(figures: ImageFigures) -> str:
    """Numbers in columns, with intervals where there are any."""
    precision = "-" if figures.average_precision is None else f"{figures.average_precision:.3f}"
    f1 = "-" if figures.f1_max is None else f"{figures.f1_max.value:.3f}"
    missed = "-" if figures.misses is None else _share(figures.misses)
    alarms = "" if figures.false_alarms is None else _share(figures.false_alarms)
    return (
        f"{figures.good:>5}  {figures.anomalous:>5}  {auroc_cell(figures.auroc):<21}  {precision:<5}  {f1:<5}  "
        f"{missed:<21}  {alarms}"
    )


def auroc_cell(auroc: AurocEstimate | None) -> str:
    """An AUROC with its interval, or a dash, as a cell of a table."""
    return "-" if auroc is None else f"{auroc.value:.3f} ({auroc.low:.3f}-{auroc.high:.3f})"


def _share(share: Proportion) -> str:
    return f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f})"
