"""`onlygood completion`: the script that lets a shell complete commands, options and files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from onlygood.cli.console import EXIT_GOOD
from onlygood.detectors.registry import method_names

if TYPE_CHECKING:
    from onlygood.cli.options import Commands

SHELLS = ("bash", "zsh", "fish")
# What arguments and options of these metavars name.
_MODELS = ("MODEL", "NEW", "ONNX", "BACKBONE")
_PAGES = ("HTML",)
_FOLDERS = ("FOLDER",)
_FILES = ("GOOD", "IMAGES", "TEST", "FILE", "PNG", "PYTHON")


def add_command(commands: Commands) -> argparse.ArgumentParser:
    """The parser of `onlygood completion`."""
    completion = commands.add_parser(
        "completion",
        help="print the script with which a shell completes commands, options and files",
        description="Print the script with which a shell completes commands, options and files. In ~/.bashrc: "
        'eval "$(onlygood completion bash)". In ~/.zshrc, after compinit: eval "$(onlygood completion zsh)". For fish: '
        "onlygood completion fish > ~/.config/fish/completions/onlygood.fish.",
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    completion.set_defaults(command=run_completion)
    return completion


def run_completion(options: argparse.Namespace) -> int:
    """`onlygood completion`."""
    import shtab

    from onlygood.cli import make_parser

    parser = make_parser()
    named: dict[str, Any] = dict.fromkeys(_MODELS, shtab.glob("*.onnx"))
    named |= dict.fromkeys(_PAGES, shtab.glob("*.html", "*.htm"))
    named |= dict.fromkeys(_FOLDERS, shtab.DIRECTORY) | dict.fromkeys(_FILES, shtab.FILE)
    _say_what_is_named(parser, named)
    print(shtab.complete(parser, options.shell))
    return EXIT_GOOD


def _say_what_is_named(parser: argparse.ArgumentParser, named: dict[str, Any]) -> None:
    """Give each argument and option what shtab completes it with, here and in the commands below."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _say_what_is_named(below, named)
        elif isinstance(action.metavar, str) and action.metavar in named:
            action.complete = named[action.metavar]  # type: ignore[attr-defined]
        elif action.metavar == "METHOD":
            action.choices = method_names()
