"""Which detectors the installed PyOD has, and the class of one of them."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.peers.outcome import PeerError
from onlygood import MissingExtraError, SettingError

PYOD = "pyod:"
_PYOD_ROOT = "BaseDetector"


def pyod_class(name: str) -> Any:
    """The class of a peer of PyOD.

    Raises:
        MissingExtraError: PyOD, or what this class needs beside it, is not installed.
        SettingError: PyOD has no such detector.
        PeerError: its module cannot be imported for another reason.
    """
    if find_spec("pyod") is None:
        raise MissingExtraError(f"the peer {name} needs PyOD, which is not installed: run pip install pyod")
    modules = _pyod_detectors()
    wanted = name.removeprefix(PYOD)
    if wanted not in modules:
        raise SettingError(
            f"a peer of PyOD must be one of its detectors ({', '.join(sorted(modules))}), got {wanted!r}"
        )
    try:
        return getattr(importlib.import_module(modules[wanted]), wanted)
    except ImportError as error:
        raise MissingExtraError(f"the peer {name} needs more than PyOD alone: {error}") from error
    except Exception as error:  # some modules go on without what they need, and trip over it
        raise PeerError(f"the peer {name} cannot be imported ({type(error).__name__}: {error})") from error


def _pyod_detectors() -> dict[str, str]:
    """Which module of the installed PyOD has which detector.

    The modules are read, not imported: many need torch or other libraries, and the rule by which they are named after
    their classes has exceptions. A detector is a class that descends, through classes of these modules, from PyOD's
    base.
    """
    spec = find_spec("pyod.models")
    places = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    modules: dict[str, str] = {}
    parents: dict[str, set[str]] = {}
    for path in sorted(path for place in places for path in place.glob("*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef):
                modules.setdefault(node.name, f"pyod.models.{path.stem}")
                bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                parents.setdefault(node.name, bases)
    detectors = {_PYOD_ROOT}
    while found := {name for name, bases in parents.items() if bases & detectors} - detectors:
        detectors |= found
    return {name: modules[name] for name in detectors if not name.startswith(("Base", "_"))}
