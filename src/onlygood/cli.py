"""The command line: `onlygood fit`, `inspect`, `info`."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onlygood
from onlygood.errors import OnlygoodError, PictureError

if TYPE_CHECKING:
    from onlygood.folders import PictureFile
    from onlygood.inspector import Inspector
    from onlygood.reading import ReadingLimits
    from onlygood.results import Inspection

EXIT_GOOD, EXIT_ANOMALY, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_NO_READER = 0, 1, 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 1 if a picture is anomalous, 2 on an error, 130 on Ctrl-C,
    141 where nobody reads the output any more.
    """
    options = make_parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a file may be no text at all, or not in the terminal's alphabet: escaped, it can still be printed.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say("onlygood: interrupted; nothing half-written was left")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): end as quietly as other programs do.
        _discard_output()
        return EXIT_NO_READER
    except OSError as error:
        # Ours are WriteError and the like: what is left is the standard output, on a full disk.
        _discard_output()
        if options.verbose:
            traceback.print_exc()
        _say(f"onlygood: the standard output cannot be written: {(error.strerror or str(error)).lower()}: make room")
        return EXIT_ERROR
    except OnlygoodError as error:
        if options.verbose:
            traceback.print_exc()
        _say(f"onlygood: {error}")
        return EXIT_ERROR
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        _say(f"onlygood: an error that should not happen, {type(error).__name__}: {error} (run with -v and report it)")
        return EXIT_ERROR
    return code


def make_parser() -> argparse.ArgumentParser:
    """The whole command line's parser."""
    parser = argparse.ArgumentParser(
        prog="onlygood", description="Visual inspection that learns from good pictures only."
    )
    parser.add_argument("--version", action="version", version=f"onlygood {onlygood.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    fit = commands.add_parser("fit", help="learn what good looks like", description="Learn what good looks like.")
    fit.add_argument("pictures", metavar="GOOD", help="folder of good pictures, searched with its sub-folders")
    fit.add_argument("-o", "--output", required=True, metavar="MODEL", help="the model file to write (.onnx)")
    for entry in fields(_settings_class()):
        _add_setting(fit, entry)
    fit.set_defaults(command=run_fit)

    inspect = commands.add_parser(
        "inspect",
        help="say which pictures are not good",
        description="Say which pictures are not good. Exit code: 0 if all are, 1 if any is anomalous, 2 on an error.",
    )
    inspect.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    inspect.add_argument("pictures", metavar="PICTURES", nargs="+", help="folders or pictures")
    inspect.add_argument("--heatmaps", metavar="FOLDER", help="write a picture with its map (PNG) for each")
    inspect.add_argument("--json", action="store_true", help="one JSON object a line on stdout, nothing else there")
    inspect.add_argument("--provider", default="cpu", help="hardware: cpu, or another that ONNX Runtime has")
    inspect.add_argument("--threads", type=int, default=0, help="pictures worked on at once; 0 for one a core")
    for entry in fields(_settings_class()):
        if entry.name in ("max_pixels", "max_bytes"):
            _add_setting(inspect, entry)
    inspect.set_defaults(command=run_inspect)

    info = commands.add_parser(
        "info",
        help="what a model file is, promises and was made from",
        description="What a model file is, what it promises, and what it was made from.",
    )
    info.add_argument("model", metavar="MODEL", help="a model file that fit wrote")
    info.add_argument("--json", action="store_true", help="the whole description as JSON")
    info.set_defaults(command=run_info)

    for command in (fit, inspect, info):
        command.add_argument("-v", "--verbose", action="store_true", help="say more, and show where an error arose")
    return parser


def run_fit(options: argparse.Namespace) -> int:
    """`onlygood fit`."""
    from onlygood.files import check_writable
    from onlygood.fitting import fit

    check_writable(options.output)
    settings = {entry.name: getattr(options, entry.name) for entry in fields(_settings_class())}
    model = fit(options.pictures, progress=True, **settings)
    model.save(options.output)
    _note_other_files([options.pictures])
    for note in model.notes:
        _say(f"note: {note}")
    size = len(model.file.content) / 1e6
    print(f"{options.output}: learned from {model.promise.fitted_pictures} good pictures, {size:.1f} MB")
    for sentence in model.promise.sentences:
        print(sentence)
    if options.verbose:
        _say(json.dumps(model.metadata, indent=2))
    return EXIT_GOOD


def run_inspect(options: argparse.Namespace) -> int:
    """`onlygood inspect`."""
    from onlygood.files import make_folder
    from onlygood.inspector import Inspector
    from onlygood.parallel import map_in_order
    from onlygood.progress import track
    from onlygood.reading import ReadingLimits

    limits = ReadingLimits(max_pixels=options.max_pixels, max_bytes=options.max_bytes)
    files = _pictures_to_inspect(options.pictures, limits, heatmaps=options.heatmaps)
    inspector = Inspector(
        options.model,
        provider=options.provider,
        # Several pictures at once, each on one thread, are faster than one picture on all threads.
        threads=1 if len(files) > 1 else options.threads,
        with_map=options.heatmaps is not None,
        max_pixels=limits.max_pixels,
        max_bytes=limits.max_bytes,
    )
    _note_other_files(options.pictures)
    heatmaps = make_folder(options.heatmaps) if options.heatmaps else None

    def inspect(named: tuple[str, PictureFile]) -> Inspection | PictureError:
        try:
            return _inspect_file(inspector, *named, heatmaps)
        except PictureError as error:
            return error

    width = max(len(name) for name, _ in files)
    if not options.json:
        print(f"{'picture':<{width}}  verdict    {'score':>9}  {'p-value':>8}")
    anomalous = unreadable = 0
    # Lines come as pictures do, so a bar is drawn only where they do not go to the same terminal.
    results = track(
        map_in_order(inspect, files, threads=options.threads),
        total=len(files),
        description="inspecting",
        show=not sys.stdout.isatty(),
    )
    for (name, _), result in zip(files, results, strict=True):
        if isinstance(result, PictureError):
            unreadable += 1
            _say(f"onlygood: {result}")
            if options.json:
                print(json.dumps({"name": name, "error": str(result)}), flush=True)
            continue
        anomalous += result.is_anomaly
        if options.json:
            print(json.dumps(result.to_json()), flush=True)
        else:
            word = "ANOMALOUS" if result.is_anomaly else "good"
            print(f"{name:<{width}}  {word:<9}  {result.score:>+9.4f}  {result.p_value:>8.4f}")
    if not options.json:
        noun, good = "picture" if len(files) == 1 else "pictures", len(files) - anomalous - unreadable
        print(f"{len(files)} {noun}: {anomalous} anomalous, {good} good", end="")
        print(f", {unreadable} not readable" if unreadable else "")
    if unreadable:
        return EXIT_ERROR
    return EXIT_ANOMALY if anomalous else EXIT_GOOD


def _pictures_to_inspect(
    paths: Sequence[str], limits: ReadingLimits, *, heatmaps: str | None
) -> list[tuple[str, PictureFile]]:
    """Each picture with its name: relative to its folder, and below the folder's path where several are given.

    Pictures in the folder for heat maps are left out: they are an earlier run's.
    """
    from onlygood.errors import FolderError
    from onlygood.folders import find_pictures

    drawn = None if heatmaps is None else Path(heatmaps).resolve()
    found = []
    for path in paths:
        prefix = Path(path) if Path(path).is_dir() else Path(path).parent
        for file in find_pictures(Path(path), allow_file=True, limits=limits):
            if drawn is not None and drawn in file.path.resolve().parents:
                continue
            found.append(((prefix / file.name).as_posix() if len(paths) > 1 else file.name, file))
    if not found:
        raise FolderError(f"{', '.join(paths)} must hold pictures beside the heat maps in {heatmaps}, got none")
    return found


def _note_other_files(paths: Sequence[str]) -> None:
    """Say on stderr which files were passed over, since a picture under another extension may be among them."""
    from onlygood.folders import other_files

    for path in paths:
        others = other_files(path)
        if others:
            noun = "file" if len(others) == 1 else "files"
            _say(f"note: {len(others)} other {noun} in {path} not looked at, the first: {others[0]}")


def _inspect_file(inspector: Inspector, name: str, file: PictureFile, heatmaps: Path | None) -> Inspection:
    """The inspection of one file, its heat map written if a folder for it is given."""
    from onlygood.reading import read_picture

    picture = read_picture(file.path, name=name, page=file.page, limits=inspector.limits)
    inspection = inspector(picture, name=name)
    if heatmaps is not None and inspection.anomaly_map is not None:
        from onlygood.files import make_folder, write_atomically
        from onlygood.heatmap import draw_heatmap, to_png

        drawn = draw_heatmap(picture, inspection.anomaly_map, levels=inspector.map_levels, window=inspector.window)
        # A name may be an absolute path or lead upwards; a heat map stays below its folder, apart from all others.
        parts = Path(f"{name}.png").parts
        below = ["(up)" if part == ".." else part for part in parts if part != Path(name).anchor]
        target = heatmaps.joinpath(*below)
        make_folder(target.parent)
        write_atomically(target, to_png(drawn))
    return inspection


def run_info(options: argparse.Namespace) -> int:
    """`onlygood info`."""
    from onlygood.graph.model_file import read_model_file

    metadata = read_model_file(options.model).metadata
    if options.json:
        print(json.dumps(metadata, indent=2, sort_keys=True))
        return EXIT_GOOD
    pictures, kind, patch = metadata["good_pictures"], metadata["input"], metadata["patch"]
    black, white = kind["window"]
    lines = {
        "model": options.model,
        "format": metadata["format"],
        "method": f"{metadata['method']}: {' x '.join(map(str, patch['memory_bank']))} memory bank, "
        f"{patch['grid']} x {patch['grid']} patches of {', '.join(patch['taps'])}",
        "backbone": f"{metadata['backbone']['description']} ({metadata['backbone']['licence']})",
        "takes": f"{kind['dtype']}, {'grey' if kind['channels'] == 1 else 'colour'}, any size (resized to "
        f"{kind['input_size']} x {kind['input_size']}), levels {black:g} to {white:g}",
        "made from": f"{pictures['count']} good pictures, {_span(pictures['widths'])} x {_span(pictures['heights'])} "
        f"pixels, digest {pictures['sha256'][:12]}",
        "made with": ", ".join(f"{name} {version}" for name, version in metadata["made_with"].items()),
        "promise": metadata["promise"]["statement"],
    }
    for name, value in lines.items():
        print(f"{name + ':':<11}{value}")
    for note in metadata["notes"]:
        print(f"{'note:':<11}{note}")
    return EXIT_GOOD


def _span(bounds: Sequence[int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low}-{high}"


def _settings_class() -> Any:
    from onlygood.settings import FitSettings

    return FitSettings


def _add_setting(parser: argparse.ArgumentParser, entry: Field[Any]) -> None:
    """One option from one field of FitSettings: same name, same default, same help."""
    default = None if entry.default is MISSING else entry.default
    text = entry.metadata["help"].replace("%", "%%")
    flag = "--" + entry.name.replace("_", "-")
    if entry.type == "bool":
        parser.add_argument(flag, action="store_true", default=default, help=text)
        return
    shown = "" if default is None else f" (default: {default})"
    parser.add_argument(
        flag,
        default=default,
        type=_CONVERTERS[str(entry.type)],
        choices=entry.metadata.get("choices"),
        metavar=None if "choices" in entry.metadata else entry.name.upper(),
        help=text + shown,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be two levels such as 0,4095, got {text!r}") from error


_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "str | None": str,
    "float": float,
    "int": int,
    "int | None": int,
    "tuple[str, ...] | None": _names,
    "tuple[float, float] | None": _levels,
}


def _discard_output() -> None:
    """Send what is still to be printed nowhere, so that flushing it at exit cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
