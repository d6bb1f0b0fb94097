"""Checkpoints: what training has reached, in a file that is data alone (safe to load), whole or not there."""

from __future__ import annotations

import copy
import io
import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from onlygood._files import write_atomically
from onlygood.errors import CheckpointError

FORMAT = 2


class Checkpoint:
    """One file with all stages of one fit.

    Args:
        path: of the file.
        fingerprint: says which fit it is of: method, settings, images, as JSON values. Another fit's checkpoint is
            refused.
        resume: go on from it; otherwise it is overwritten.

    Raises:
        CheckpointError: to resume, and the file is missing, unreadable, or another method's, fit's or version's.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: dict[str, Any], *, resume: bool) -> None:
        self.path = Path(path)
        # As JSON has it: a number of NumPy's would be written, and not be read again.
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self.stages: dict[str, dict[str, Any]] = self._read() if resume else {}

    def load(
        self, stage: str, module: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
    ) -> list[float]:
        """Put a stage where the checkpoint left it. Returns the losses of its epochs so far; none if it never began."""
        kept = self.stages.get(stage)
        if kept is None:
            return []
        module.load_state_dict(kept["module"])
        optimizer.load_state_dict(kept["optimizer"])
        state.update(kept["state"])
        return list(kept["losses"])

    def keep(
        self,
        stage: str,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: dict[str, Any],
        losses: list[float],
    ) -> None:
        """Note where a stage is, in memory."""
        self.stages[stage] = {
            "module": {name: value.detach().cpu().clone() for name, value in module.state_dict().items()},
            "optimizer": copy.deepcopy(optimizer.state_dict()),
            "state": dict(state),
            "losses": list(losses),
        }

    def write(self) -> None:
        """Write what was noted last.

        Raises:
            WriteError: the file cannot be written.
        """
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, "fingerprint": self.fingerprint, "stages": self.stages}, buffer)
        write_atomically(self.path, buffer.getvalue())

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            number, fingerprint, stages = found["format"], found["fingerprint"], found["stages"]
        except FileNotFoundError as error:
            raise CheckpointError(f"the checkpoint {self.path} does not exist: leave --resume out to begin") from error
        except Exception as error:  # each way in which a file can be damaged raises another
            raise CheckpointError(
                f"the checkpoint {self.path} cannot be read ({type(error).__name__}): leave --resume out to start again"
            ) from error
        if number != FORMAT:
            raise CheckpointError(
                f"the checkpoint {self.path} must have format {FORMAT}, got {number!r}: resume with the version of "
                "onlygood that wrote it, or leave --resume out to start again"
            )
        for key, wanted in self.fingerprint.items():
            if fingerprint.get(key) != wanted:
                raise CheckpointError(
                    f"the checkpoint {self.path} must be of a fit with {key} {wanted!r}, got {fingerprint.get(key)!r}: "
                    "resume with the same images and settings, or leave --resume out to start again"
                )
        return dict(stages)
