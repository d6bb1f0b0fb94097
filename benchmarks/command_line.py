"""`python -m benchmarks run` and `python -m benchmarks table`: every method and its peers on the same images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.datasets.opening import open_dataset
from benchmarks.datasets.tasks import Dataset
from benchmarks.fitting import split_method
from benchmarks.peers.names import check_peer
from benchmarks.progress import running
from benchmarks.published import read_published
from benchmarks.records import check_appendable
from benchmarks.runs import PeerEnvironment, Result, check_method, execute, grid, is_done, read_results
from benchmarks.table import as_csv, as_markdown
from onlygood import OnlygoodError, SettingError

EXIT_GOOD, EXIT_ERROR, EXIT_INTERRUPTED = 0, 2, 130
FORMATS = ("md", "csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 2 on an error or if a run failed, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Compare methods and peers on data sets.")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_run(actions)
    _add_table(actions)
    options = parser.parse_args(arguments)
    try:
        code: int = options.command(options)
    except KeyboardInterrupt:
        _say("benchmarks: interrupted; the same line goes on")
        return EXIT_INTERRUPTED
    except OnlygoodError as error:
        _say(f"benchmarks: {error}")
        return EXIT_ERROR
    return code


def _add_run(actions: Any) -> None:
    run = actions.add_parser(
        "run",
        help="run what has no result yet",
        description="Run what has no result yet: one line of the output a data set, class, method and seed. Interrupt "
        "it, and the same line goes on. Exit code: 0 if every run gave a result, 2 if one failed.",
    )
    run.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="NAME[=PATH]",
        help="a data set, may be given again: mnist, fashion-mnist, cifar10, elpv, or any name for a folder in MVTec "
        "layout (or of such folders); elpv and fashion-mnist need no path where their packages are installed",
    )
    run.add_argument(
        "--classes",
        action="append",
        metavar="[NAME=]A,B",
        help="which classes to take as the good one, of the data set NAME or of all (default: every class)",
    )
    run.add_argument(
        "--methods",
        default="",
        metavar="A,B",
        help="ours, with settings if need be: patch, patch@bank_size=500+taps=stage2/stage4",
    )
    run.add_argument(
        "--peers", default="", metavar="A,B", help="others: sklearn:lof (ocsvm, iforest), pyod:NAME, anomalib:patchcore"
    )
    run.add_argument("--seeds", type=int, default=1, help="how many, from 0 (default: 1)")
    run.add_argument(
        "--reference",
        metavar="N|A,B|NAME=PATH",
        help="reference images for method doc: the N classes after the good one, classes by name (neither is then "
        "judged), or all classes of another data set",
    )
    run.add_argument("--max-reference", type=int, help="most reference images, drawn at random")
    run.add_argument("--max-train", type=int, help="most images to learn from, drawn at random")
    run.add_argument("--max-test", type=int, help="most images to test on, drawn at random")
    run.add_argument(
        "--false-alarm-rate", type=float, default=0.05, help="that our methods are asked for (default: 0.05)"
    )
    run.add_argument("--threads", type=int, default=0, help="images worked on at once while fitting; 0 for one a core")
    run.add_argument("--timeout-s", type=float, default=14_400.0, help="most seconds for a run (default: 14400)")
    run.add_argument("--peer-python", metavar="PYTHON", help="interpreter of an environment that has anomalib")
    run.add_argument(
        "--peer-weights", metavar="FILE", help="torch state dict of the peers' backbone (default: they fetch their own)"
    )
    run.add_argument(
        "-o",
        "--output",
        default="results.jsonl",
        metavar="FILE",
        help="for the results, JSON lines (default: results.jsonl)",
    )
    run.set_defaults(command=run_grid)


def _add_table(actions: Any) -> None:
    table = actions.add_parser(
        "table",
        help="put results beside one another",
        description="Put results beside one another: mean and standard deviation over seeds, and what was not run.",
    )
    table.add_argument("results", metavar="FILE", help="that `run` wrote")
    table.add_argument("--format", choices=FORMATS, default="md", help="Markdown or CSV (default: md)")
    table.add_argument("--published", metavar="FILE", help="JSON list of published figures to put beside, with sources")
    table.add_argument("--notes", metavar="FILE", help="text to begin with: what a reader should know of the runs")
    table.add_argument("-o", "--output", metavar="FILE", help="write it there (default: to stdout)")
    table.set_defaults(command=run_table)


def run_grid(options: argparse.Namespace) -> int:
    """`python -m benchmarks run`."""
    methods, peers = _listed(options.methods), _listed(options.peers)
    if not methods and not peers:
        raise SettingError("run needs --methods or --peers, got neither: name at least one, such as patch")
    if options.seeds < 1:
        raise SettingError(f"--seeds must be at least 1, got {options.seeds}")
    environment = PeerEnvironment(
        python=None if options.peer_python is None else Path(options.peer_python),
        weights=None if options.peer_weights is None else Path(options.peer_weights),
    )
    for method in methods:
        check_method(method)
    reference, _, reference_path = (options.reference or "").partition("=")
    if not reference and (options.max_reference is not None or any(split_method(m)[0] == "doc" for m in methods)):
        raise SettingError(
            "--reference must be given for method doc, and with --max-reference, got none: give it as in --reference 4"
        )
    if options.max_reference is not None and options.max_reference < 2:
        raise SettingError(f"--max-reference must be at least 2, got {options.max_reference}")
    for peer in peers:
        check_peer(peer, peer_python=environment.python)
    datasets: dict[str, tuple[str | None, Dataset]] = {}
    for entry in options.data:
        name, _, path = entry.partition("=")
        if name in datasets:
            raise SettingError(f"--data must name each data set once, got {name} twice")
        datasets[name] = (path or None, open_dataset(name, Path(path) if path else None))
        _say(datasets[name][1].sentence)
    wanted = _classes(options.classes or [], datasets)
    runs = grid(
        [(name, path, wanted[name]) for name, (path, _) in datasets.items()],
        [*methods, *peers],
        options.seeds,
        max_train=options.max_train,
        max_test=options.max_test,
        false_alarm_rate=options.false_alarm_rate,
        threads=options.threads,
        reference=reference or None,
        reference_path=reference_path or None,
        max_reference=options.max_reference,
    )
    path = Path(options.output)
    check_appendable(path)
    results = read_results(path)
    open_runs = [run for run in runs if not is_done(run, results)]
    if len(open_runs) < len(runs):
        _say(f"{len(runs) - len(open_runs)} of {len(runs)} runs have a result already")
    failed = 0
    for number, run in enumerate(open_runs, start=1):
        with running(run.title, number=number, total=len(open_runs)):
            result = execute(run, path, peer=environment, timeout_s=options.timeout_s)
        failed += result["status"] != "ok"
        print(f"[{number}/{len(open_runs)}] {run.title}: {_outcome(result)}", flush=True)
    print(f"{len(open_runs)} runs, {failed} failed; results in {path}")
    return EXIT_ERROR if failed else EXIT_GOOD


def _outcome(result: Result) -> str:
    if result["status"] != "ok":
        return f"FAILED, {result['error'].splitlines()[-1]}"
    auroc, times = result["metrics"]["image_auroc"], result["times"]
    return (
        f"image AUROC {auroc['value']:.4f} ({auroc['low']:.4f}-{auroc['high']:.4f}), fit {times['fit_s']:.1f} s, "
        f"inspect {times['inspect_ms']['median']:.1f} ms"
    )


def run_table(options: argparse.Namespace) -> int:
    """`python -m benchmarks table`."""
    results = read_results(Path(options.results))
    if not results:
        raise SettingError(f"{options.results} must hold results of `benchmarks run`, got none: run it first")
    if options.format == "csv":
        text = as_csv(results)
    else:
        published = [] if options.published is None else read_published(Path(options.published))
        text = as_markdown(results, published, [] if options.notes is None else [_read_text(Path(options.notes))])
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return EXIT_GOOD


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingError(f"--notes must name a text file, got {path} ({error})") from error


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _classes(entries: Sequence[str], datasets: dict[str, tuple[str | None, Dataset]]) -> dict[str, Sequence[str]]:
    """The classes to run of each data set."""
    wanted: dict[str, Sequence[str]] = {name: dataset.classes for name, (_, dataset) in datasets.items()}
    for entry in entries:
        name, equals, listed = entry.rpartition("=")
        if equals and name not in datasets:
            raise SettingError(f"--classes must name a data set that --data gives, got {name!r}")
        for each in [name] if equals else list(datasets):
            dataset = datasets[each][1]
            wanted[each] = [dataset.find_class(text) for text in _listed(listed)]
            if not wanted[each]:
                raise SettingError(f"--classes must list classes, got {entry!r}")
    return wanted
