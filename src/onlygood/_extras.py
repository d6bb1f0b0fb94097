"""Libraries that only some commands need: how to say which one is missing and what installs it."""

from __future__ import annotations

import sys
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
    # One that another thread imports at this moment may have no specification yet.
    if sys.modules.get(module) is None and find_spec(module) is None:
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed: run pip install 'onlygood[{extra}]'"
        )
