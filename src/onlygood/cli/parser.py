"""A parser of command lines whose errors are a sentence and a line that says where to read on.

argparse answers a mistake with the whole usage, and takes the beginning of an option's name for the option, until
another one that begins so is added.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from onlygood.cli.console import EXIT_ERROR, complain, require_output

_NUMBERS = {int: "a whole number", float: "a number"}
_NEGATIVE_NUMBER = re.compile(r"-\.?\d")
_VARIADIC = ("*", "+")
# How argparse begins what it says where arguments are missing; the same sentence comes without an action to ask.
_MISSING = "the following arguments are required: "
# Arguments whose values are words of ours: a sentence calls them by what they are.
_WORDS = ("COMMAND", "SHELL")
# How argparse says what is wrong with an option's values, and what is said instead.
_REWORDED = (
    ("expected one argument", "needs a value, got none"),
    ("expected at least one argument", "needs at least one value, got none"),
    ("ignored explicit argument", "takes no value, got"),
    ("not allowed with argument", "does not go with"),
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that ends with exit code 2 and two lines: what is wrong, and how to get help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, exit_on_error=False, **settings)
        # argparse's own knows no exponents, and takes -2e-05 for an option
        self._negative_number_matcher = _NEGATIVE_NUMBER
        # Says of an option that this parser does not have where it belongs, to stand behind the sentence; or nothing.
        self.explain: Callable[[str], str] = lambda name: ""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse's, but nothing is left over: what is not known is an error of the command that got it, and images
        may stand before and behind options.
        """
        if args is not None and not self._commands:
            self._refuse_unknown_options(args)
        try:
            parsed, left = super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            self.error(self._sentence(error))
        if left:
            self._refuse_unknown_options(left)
            several = next((action for action in self._actions if action.nargs in ("+", "*")), None)
            if several is None or several.option_strings:
                self.error(f"{self._called} takes no more arguments, got also {left[0]!r}")
            # argparse takes those that stand together; others stand behind options.
            try:
                behind = [self._get_value(several, each) for each in left if each != "--"]
            except argparse.ArgumentError as error:
                self.error(self._sentence(error))
            setattr(parsed, several.dest, [*(getattr(parsed, several.dest) or []), *behind])
        return parsed, []

    def error(self, message: str) -> NoReturn:
        """End with a sentence, and the line that shows the help."""
        if message.startswith(_MISSING):
            missing = message.removeprefix(_MISSING)
            commands = f" ({', '.join(self._commands)})" if self._commands else ""
            message = f"{self._called} needs {missing}{commands}, got none"
        complain(f"onlygood: {message}")
        complain(f"`{self.prog} --help` shows what can be given.")
        self.exit(EXIT_ERROR)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help and versions: what argparse would lose without a word where stdout cannot be written is an error."""
        if file is sys.stdout:
            require_output("what is asked for")
        print(message, end="", file=sys.stderr if file is None else file, flush=True)

    @property
    def _called(self) -> str:
        """What a sentence calls this command: `inspect`, or `onlygood` itself."""
        return self.prog.partition(" ")[2] or self.prog

    @property
    def _commands(self) -> list[str]:
        """The names of the commands below this one; empty where there are none."""
        groups = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [name for action in groups for name in action.choices]

    def _refuse_unknown_options(self, args: Sequence[str]) -> None:
        """Before all else: argparse would take the value of an unknown option for an argument, and miss another."""
        for text in args:
            if text == "--":
                return
            if text[:1] != "-" or text == "-" or " " in text or _NEGATIVE_NUMBER.match(text):
                continue
            name = text.partition("=")[0] if text.startswith("--") else text[:2]
            if name not in self._option_string_actions:
                why = self.explain(name) or _nearest(name, self._option_string_actions)
                self.error(f"{self._called} has no option {name}{why}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        # As from a variable of a script that is not set. Of a command, its own parser asks the same.
        if not arg_string and not isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(action, "must not be empty, got '': give a value, or leave it out")
        wanted = next((words for kind, words in _NUMBERS.items() if action.type is kind), None)
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            if wanted is None:
                raise
            raise argparse.ArgumentError(action, f"must be {wanted}, got {arg_string!r}") from error

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        nearest = _nearest(str(value), choices)
        raise argparse.ArgumentError(action, f"must be one of {', '.join(choices)}, got {str(value)!r}{nearest}")

    def _sentence(self, error: argparse.ArgumentError) -> str:
        """The option or argument, and what is wrong with it."""
        message = error.message
        for theirs, ours in _REWORDED:
            message = message.replace(theirs, ours)
        if error.argument_name is None:
            return message
        name = error.argument_name.rpartition("/")[2]  # of -o/--output, the long one
        return f"the {name.lower()} {message}" if name in _WORDS else f"{name} {message}"


def _nearest(given: str, known: Iterable[str]) -> str:
    """A question with the nearest of the names that are known, to stand behind a sentence; empty if none is near."""
    names = list(known)
    begun = [name for name in names if len(given) > len("--") and name.startswith(given)]
    near = begun[:1] or get_close_matches(given, names, n=1)
    return f": did you mean {near[0]}?" if near else ""
