"""The settings of `cells`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from onlygood.settings import MethodSettings

if TYPE_CHECKING:
    from onlygood.detectors.base import Detector, FitTask


class Cells(MethodSettings):
    """How many standard deviations the most unusual cell of an image is from the same cell of good images."""

    name: ClassVar[str] = "cells"
    summary: ClassVar[str] = "parts that always lie in one place, where something is missing, added or of another shade"

    cells: int = Field(default=16, ge=2, le=64, description="cells along each side of an image")

    def make_detector(self, task: FitTask) -> Detector:
        from onlygood_cells.detector import CellsDetector

        return CellsDetector(self, task)
