"""The command line. Each command is a file of this package; here they come together."""

from __future__ import annotations

import argparse
import io
import sys
import traceback
from collections.abc import Sequence

import onlygood
from onlygood.cli import bench, calibrate, compare, evaluate, explore, fit, info, inspect, methods
from onlygood.cli.console import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_NO_READER, discard_output, say
from onlygood.errors import OnlygoodError

# Those whose options do not depend on the command line.
COMMANDS = (inspect, evaluate, compare, calibrate, explore, info, methods, bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 1 if an image is anomalous, 2 on an error, 130 on Ctrl-C,
    141 where nobody reads the output any more.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = make_parser(arguments).parse_args(arguments)
    except OnlygoodError as error:  # the method that is named cannot be loaded
        say(f"onlygood: {error}")
        return EXIT_ERROR
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The name of a file may be no text at all, or not in the terminal's alphabet: escaped, it can still be printed.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("onlygood: interrupted; nothing half-written was left")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): end as quietly as other programs do.
        discard_output()
        return EXIT_NO_READER
    except OSError as error:
        # Ours are WriteError and the like: what is left is the standard output, on a full disk.
        discard_output()
        if options.verbose:
            traceback.print_exc()
        say(f"onlygood: the standard output cannot be written: {(error.strerror or str(error)).lower()}: make room")
        return EXIT_ERROR
    except OnlygoodError as error:
        if options.verbose:
            traceback.print_exc()
        say(f"onlygood: {error}")
        return EXIT_ERROR
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        say(f"onlygood: an error that should not happen, {type(error).__name__}: {error} (run with -v and report it)")
        return EXIT_ERROR
    return code


def make_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of a command line; of `fit` it has the options of the method that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="onlygood", description="Visual inspection that learns from good images only."
    )
    parser.add_argument("--version", action="version", version=f"onlygood {onlygood.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for added in (fit.add_command(commands, arguments), *(command.add_command(commands) for command in COMMANDS)):
        added.add_argument("-v", "--verbose", action="store_true", help="say more, and show where an error arose")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
