"""Whole numbers that people give: which are taken, and the sentence that refuses the others."""

from __future__ import annotations

from typing import TypeGuard

from onlygood.errors import SettingError

# A seed goes to several libraries, and scikit-learn takes the fewest.
HIGHEST_SEED = 2**32 - 1


def is_integer(value: object, least: int, most: int | None = None) -> TypeGuard[int]:
    """Whether it is a whole number within bounds, both included; True and False are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return value >= least and (most is None or value <= most)


def check_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """The value, if it is such a number.

    Args:
        name: of the setting, for the message.
        value: what was given.
        least: the smallest that is taken.
        most: the largest that is taken; None for no such bound.

    Raises:
        SettingError: it is not.
    """
    if not is_integer(value, least, most):
        required = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise SettingError(f"{name} must be a whole number {required}, got {value!r}")
    return value
