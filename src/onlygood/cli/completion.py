"""`onlygood completion`: the script that lets a shell complete commands, options and files."""

from __future__ import annotations

import argparse
import os
import shlex

from onlygood.cli.console import EXIT_GOOD, show

SHELLS = ("bash", "zsh", "fish")
# What arguments and options of these metavars name.
_SUFFIXES = {
    "MODEL": ("onnx",),
    "NEW": ("onnx",),
    "OLD": ("onnx",),
    "ONNX": ("onnx",),
    "BACKBONE": ("onnx",),
    "HTML": ("html", "htm"),
    "JSON": ("json",),
}
_FOLDERS = ("FOLDER",)


def add_options(completion: argparse.ArgumentParser) -> None:
    """The options of `onlygood completion`."""
    completion.description = (
        "Print the script with which a shell completes commands, options and files. In ~/.bashrc: "
        'eval "$(onlygood completion bash)". In ~/.zshrc, after compinit: eval "$(onlygood completion zsh)". For fish: '
        "onlygood completion fish > ~/.config/fish/completions/onlygood.fish."
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    completion.set_defaults(command=run_completion)


def run_completion(options: argparse.Namespace) -> int:
    """`onlygood completion`."""
    from argcomplete.shell_integration import shellcode

    for line in shellcode(["onlygood"], shell=options.shell).splitlines():
        show(line)
    return EXIT_GOOD


def complete() -> None:
    """Answer the shell's script, which asks with the line so far in the environment, and end the process."""
    import argcomplete
    from argcomplete.completers import ChoicesCompleter, DirectoriesCompleter, FilesCompleter

    from onlygood.cli import make_parser
    from onlygood.detectors.registry import method_names

    parser = make_parser(_words_so_far())
    actions = [*parser._actions]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            actions += [each for below in action.choices.values() for each in below._actions]
    for action in actions:
        if action.metavar in _SUFFIXES:
            action.completer = FilesCompleter(_SUFFIXES[action.metavar])  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.completer = DirectoriesCompleter()  # type: ignore[attr-defined]
        elif action.metavar == "METHOD":
            action.completer = ChoicesCompleter(dict.fromkeys(method_names(), ""))  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _words_so_far() -> list[str]:
    """The words of the line before the cursor, without the program's name."""
    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0")) or None]
    try:
        return shlex.split(line)[1:]
    except ValueError:  # a quotation that is not closed yet
        return line.split()[1:]
