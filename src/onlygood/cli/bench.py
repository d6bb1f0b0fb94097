"""`onlygood bench run` and `onlygood bench table`: every method and its peers on the same images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onlygood.cli.console import EXIT_ERROR, EXIT_GOOD, say
from onlygood.cli.values import rate
from onlygood.errors import SettingError

if TYPE_CHECKING:
    from onlygood.bench.datasets import Dataset
    from onlygood.cli.options import Commands

FORMATS = ("md", "csv")


def add_command(commands: Commands) -> argparse.ArgumentParser:
    """The parser of `onlygood bench`."""
    bench = commands.add_parser(
        "bench",
        help="compare methods and peers on data sets",
        description="Compare methods and peers on data sets.",
    )
    actions = bench.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_run(actions)
    _add_table(actions)
    return bench


def _add_run(actions: Commands) -> None:
    run = actions.add_parser(
        "run",
        help="run what has no result yet",
        description="Run what has no result yet: one file a data set, class, method and seed. Interrupt it, and the "
        "same line goes on. Exit code: 0 if every run gave a result, 2 if one failed.",
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
        "--false-alarm-rate", type=rate, default=0.05, help="that our methods are asked for (default: 0.05)"
    )
    run.add_argument("--threads", type=int, default=0, help="images worked on at once while fitting; 0 for one a core")
    run.add_argument("--timeout-s", type=float, default=14_400.0, help="most seconds for a run (default: 14400)")
    run.add_argument("--peer-python", metavar="PYTHON", help="interpreter of an environment that has anomalib")
    run.add_argument(
        "--peer-weights", metavar="FILE", help="torch state dict of the peers' backbone (default: they fetch their own)"
    )
    run.add_argument("-o", "--output", default="results", metavar="FOLDER", help="for the results (default: results)")
    run.set_defaults(command=run_bench)


def _add_table(actions: Commands) -> None:
    table = actions.add_parser(
        "table",
        help="put results beside one another",
        description="Put results beside one another: mean and standard deviation over seeds, and what was not run.",
    )
    table.add_argument("results", metavar="FOLDER", help="that `bench run` wrote")
    table.add_argument("--format", choices=FORMATS, default="md", help="Markdown or CSV (default: md)")
    table.add_argument("--published", metavar="FILE", help="JSON list of published figures to put beside, with sources")
    table.add_argument("--notes", metavar="FILE", help="text to begin with: what a reader should know of the runs")
    table.add_argument("-o", "--output", metavar="FILE", help="write it there (default: to stdout)")
    table.set_defaults(command=run_table)


def run_bench(options: argparse.Namespace) -> int:
    """`onlygood bench run`."""
    from onlygood._progress import waiting
    from onlygood.bench.datasets import open_dataset
    from onlygood.bench.peers import check_peer
    from onlygood.bench.runs import (
        PeerEnvironment,
        check_method,
        check_results_folder,
        execute,
        grid,
        is_done,
        split_method,
    )

    methods, peers = _listed(options.methods), _listed(options.peers)
    if not methods and not peers:
        raise SettingError("bench run needs --methods or --peers, got neither: name at least one, such as patch")
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
        say(datasets[name][1].sentence)
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
    folder = Path(options.output)
    check_results_folder(folder)
    open_runs = [run for run in runs if not is_done(run, folder)]
    if len(open_runs) < len(runs):
        say(f"{len(runs) - len(open_runs)} of {len(runs)} runs have a result already")
    failed = 0
    for number, run in enumerate(open_runs, start=1):
        start = f"[{number}/{len(open_runs)}] {run.title}"
        with waiting(start, show=not options.quiet):
            result = execute(run, folder, peer=environment, timeout_s=options.timeout_s)
        if result["status"] == "ok":
            auroc, times = result["metrics"]["image_auroc"], result["times"]
            print(
                f"{start}: image AUROC {auroc['value']:.4f} ({auroc['low']:.4f}-{auroc['high']:.4f}), fit "
                f"{times['fit_s']:.1f} s, inspect {times['inspect_ms']['median']:.1f} ms",
                flush=True,
            )
        else:
            failed += 1
            print(f"{start}: FAILED, {result['error'].splitlines()[-1]}", flush=True)
    print(f"{len(open_runs)} runs, {failed} failed; results in {folder}")
    return EXIT_ERROR if failed else EXIT_GOOD


def run_table(options: argparse.Namespace) -> int:
    """`onlygood bench table`."""
    from onlygood._files import write_atomically
    from onlygood.bench.published import read_published
    from onlygood.bench.runs import results_in
    from onlygood.bench.table import as_csv, as_markdown

    results = [result for _, result in results_in(Path(options.results))]
    if options.format == "csv":
        text = as_csv(results)
    else:
        published = [] if options.published is None else read_published(Path(options.published))
        text = as_markdown(results, published, [] if options.notes is None else [_read_text(Path(options.notes))])
    if options.output:
        write_atomically(options.output, text.encode())
    else:
        print(text, end="")
    return EXIT_GOOD


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
