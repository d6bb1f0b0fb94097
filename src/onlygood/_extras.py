"""Libraries that only some commands need: how to say which one is missing and what installs it."""

from __future__ import annotations

from importlib.util import find_spec

from onlygood.errors import MissingExtraError


def need_extra(library: str, *, module: str, extra: str, purpose: str) -> None:
    """Refuse to go on without a library that is not part of the base install.

    Args:
        library: its name on the package index.
        module: what is imported.
        extra: of onlygood, that brings it.
        purpose: what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: it is not installed.
    """
    if not _is_installed(module):
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed: run pip install 'onlygood[{extra}]'"
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # another thread imports it at this moment, and it has no specification yet
        return True
