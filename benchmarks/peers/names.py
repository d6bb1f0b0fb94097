"""Names of peers: which there are, and whether one can be run here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers.pyod_classes import PYOD, pyod_class
from onlygood import MissingExtraError, SettingError

SKLEARN, ANOMALIB = "sklearn:", "anomalib:"
ANOMALIB_MODELS = ("patchcore", "padim")
PEERS = {
    "sklearn:ocsvm": "scikit-learn's OneClassSVM (RBF, nu 0.1) on whole-image embeddings",
    "sklearn:lof": "scikit-learn's LocalOutlierFactor (20 neighbours) on whole-image embeddings",
    "sklearn:iforest": "scikit-learn's IsolationForest on whole-image embeddings",
    "pyod:NAME": "any detector of PyOD, by the name of its class (pyod:ECOD), on whole-image embeddings",
    "anomalib:patchcore": "anomalib's PatchCore (coreset of 1 %), in a Python environment of its own",
    "anomalib:padim": "anomalib's PaDiM, in a Python environment of its own",
}
"""What can be compared with, and a line about each."""

OF_SCIKIT_LEARN = {
    "sklearn:ocsvm": ("sklearn.svm", "OneClassSVM"),
    "sklearn:lof": ("sklearn.neighbors", "LocalOutlierFactor"),
    "sklearn:iforest": ("sklearn.ensemble", "IsolationForest"),
}
"""The module and class of each."""


def is_peer(name: str) -> bool:
    """Whether a name is meant as a peer's; `check_peer` says whether there is such a peer."""
    return name.startswith((SKLEARN, PYOD, ANOMALIB))


def check_peer(name: str, *, peer_python: Path | None = None) -> None:
    """Nothing, if the peer can be run.

    Args:
        name: of the peer.
        peer_python: the interpreter that has anomalib.

    Raises:
        SettingError: there is no such peer, or it needs an interpreter and the one given is none.
        MissingExtraError: its library is not installed.
        PeerError: its library is installed, and broken.
    """
    if name in OF_SCIKIT_LEARN:
        if find_spec("sklearn") is None:
            raise MissingExtraError(
                f"the peer {name} needs scikit-learn, which is not installed: run pip install 'onlygood[bench]'"
            )
    elif name.startswith(PYOD):
        pyod_class(name)
    elif name.startswith(ANOMALIB) and name.removeprefix(ANOMALIB) in ANOMALIB_MODELS:
        check_peer_python(name, peer_python)
    else:
        raise SettingError(f"a peer must be one of {', '.join(PEERS)}, got {name!r}")


def check_peer_python(name: str, python: Path | None) -> Path:
    """The interpreter, if it is one.

    Raises:
        SettingError: none was given, or there is no such file.
    """
    if python is None:
        raise SettingError(
            f"the peer {name} runs in a Python environment that has anomalib, got none: make one (python -m venv ENV; "
            "ENV/bin/pip install 'anomalib[cpu]') and give its interpreter with --peer-python"
        )
    if not python.is_file():
        raise SettingError(f"--peer-python must be the interpreter of an environment with anomalib, got {python}")
    return python
