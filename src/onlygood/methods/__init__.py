"""The methods that `fit` knows: what each learns, and the piece of graph that it scores with."""

from __future__ import annotations

from collections.abc import Sequence

from onlygood.methods.method import GoodScores, Method
from onlygood.methods.patch import PatchMethod
from onlygood.settings import FitSettings
from onlygood.sources import Source

__all__ = ["GoodScores", "Method", "make_method"]


def make_method(settings: FitSettings, sources: Sequence[Source], *, show_progress: bool) -> Method:
    """The method that the settings name, before it has seen a picture.

    Args:
        settings: of the fit.
        sources: the good pictures; their number decides how much of each can be looked at.
        show_progress: draw bars if stderr is a terminal.

    Raises:
        SettingError: settings that do not go together.
        BackboneError: a backbone that cannot be used.
    """
    return {"patch": PatchMethod}[settings.method](settings, len(sources), show_progress=show_progress)
