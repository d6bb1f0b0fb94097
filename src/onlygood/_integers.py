"""Whole numbers that people give: which are taken, and the sentence that refuses the others."""

from __future__ import annotations

from typing import TypeGuard

from onlygood._plain import plain
from onlygood.errors import SettingError

# A seed goes to several libraries, and scikit-learn takes the fewest.
HIGHEST_SEED = 2**32 - 1
# More than any machine has cores.
MOST_THREADS = 4096


def is_integer(value: object, least: int, most: int | None = None) -> TypeGuard[int]:
    """Whether it is a whole number of Python's within bounds, both included; True and False are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= least and (most is None or value <= most)


def check_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """The value, if it is such a number, or one of NumPy's that stands for one.

    Args:
        name: of the setting, for the message.
        value: what was given.
        least: the smallest that is taken.
        most: the largest that is taken; None for no such bound.

    Raises:
        SettingError: it is not.
    """
    value = plain(value)
    if not is_integer(value, least, most):
        required = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingError(f"{name} must be a whole number {required}, got {value!r}")
    return value


def check_threads(value: object) -> int:
    """The number of threads, 0 for one a core.

    Raises:
        SettingError: it is no whole number from 0 to MOST_THREADS.
    """
    value = plain(value)
    if not is_integer(value, 0):
        raise SettingError(f"threads must be 0 (one a core) or more, got {value!r}")
    return check_integer("threads", value, 0, MOST_THREADS)
