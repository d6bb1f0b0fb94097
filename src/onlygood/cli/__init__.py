"""The command line. Each command is a file of this package; here they come together."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import onlygood
from onlygood.cli.console import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_NO_READER,
    complain,
    discard_output,
    keep_quiet,
    open_closed_streams,
    output_reason,
    require_output,
)
from onlygood.cli.parser import Parser
from onlygood.errors import OnlygoodError

# Each is a module of this package, which is imported where it is needed: the command, or its help.
COMMANDS = {
    "fit": "learn what good looks like",
    "inspect": "say which images are not good",
    "audit": "look at good images before a fit: what needs a decision",
    "roi": "propose a region of interest, or write a page on which it is drawn",
    "evaluate": "measure a model on labelled images",
    "compare": "measure several methods on your own images, and say which to use",
    "calibrate": "give a model another false-alarm rate, or new good images for its threshold",
    "update": "add good images to a model or take some out, without the old ones",
    "explore": "draw a map of images as a model sees them",
    "drift": "say whether the process has changed since the fit, since when and in what way",
    "diff": "say which verdicts flip between two models, before one takes the place of the other",
    "station": "run an inspection station: a page, a server, cameras and folders, a memory",
    "watch": "inspect what a camera, a stream, a video or a folder gives, as it comes",
    "products": "list a set of models of several products, or change it",
    "info": "what a model file is, guarantees and was made from",
    "sign": "sign a model file, and make keys for it",
    "methods": "list the methods, what each is for and what it needs",
    "completion": "print the script with which a shell completes commands, options and files",
}
# Those of which nothing is left but what they print.
_PRINTING = ("evaluate", "compare", "info", "methods", "completion")
# Set by the shell's script where it asks for completions.
_COMPLETING = "_ARGCOMPLETE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 1 if an image is anomalous, 2 on an error, 130 on Ctrl-C,
    141 where nobody reads the output any more.

    `onlygood.__main__` runs it as a process of its own, and says how that one ends when a signal tells it to.
    """
    if _COMPLETING in os.environ:
        from onlygood.cli.completion import complete

        complete()  # and leaves
    arguments = sys.argv[1:] if arguments is None else arguments
    open_closed_streams()
    is_verbose = False
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What is no control character may still not be in the terminal's alphabet: escaped, it can be printed.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = make_parser(arguments).parse_args(arguments)
        is_verbose = options.verbose
        keep_quiet(options.quiet)
        if _prints_its_result(options):
            require_output(f"{options.called} --json" if getattr(options, "json", False) else options.called)
        code: int = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("onlygood: interrupted; nothing half-written was left")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): end as quietly as other programs do.
        discard_output()
        return EXIT_NO_READER
    except OSError as error:
        # Ours are WriteError and the like: what is left is the standard output, on a full disk.
        discard_output()
        return _failed(output_reason(error), is_verbose=is_verbose)
    except OnlygoodError as error:
        return _failed(str(error), is_verbose=is_verbose)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return _failed(f"an error that should not happen, {what} (run with -v and report it)", is_verbose=is_verbose)
    return code


def _failed(sentence: str, *, is_verbose: bool) -> int:
    """The exit code of an error, which is said; with -v, where it arose, too."""
    if is_verbose:
        for line in traceback.format_exc().splitlines():
            complain(line)
    complain(f"onlygood: {sentence}")
    return EXIT_ERROR


def _prints_its_result(options: argparse.Namespace) -> bool:
    """Whether what a command prints is all that it is run for: neither its exit code nor a file says the same."""
    if getattr(options, "json", False):
        return True
    return options.called in _PRINTING and getattr(options, "report", None) is None


def make_parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser of a command line.

    Args:
        arguments: of the command line. Of the command that they name it has the options, of `fit` those of the method,
            too; of all other commands the names alone. Unless given, it has the options of all commands.
    """
    parser: argparse.ArgumentParser = Parser(
        prog="onlygood", description="Visual inspection that learns from good images only."
    )
    parser.add_argument("--version", action="version", version=f"onlygood {onlygood.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    named = next((each for each in arguments or () if not each.startswith("-")), None)
    for name, text in COMMANDS.items():
        added = commands.add_parser(name, help=text)
        added.set_defaults(called=name)
        if arguments is None or name == named:
            module = import_module(f"onlygood.cli.{name}")
            # Those of `fit` depend on the method that is named.
            module.add_options(added, arguments or ()) if name == "fit" else module.add_options(added)
            _add_how_much_to_say(added)
    return parser


def _add_how_much_to_say(command: argparse.ArgumentParser) -> None:
    """-v and -q of a command."""
    volume = command.add_mutually_exclusive_group()
    volume.add_argument("-v", "--verbose", action="store_true", help="say more, and show where an error arose")
    volume.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress on stderr, errors alone")


if __name__ == "__main__":
    raise SystemExit(main())
