"""Detectors of scikit-learn and PyOD on embeddings: fitted to good images alone, and timed."""

from __future__ import annotations

import importlib
import inspect
import pickle
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.tasks import Task
from benchmarks.machine import versions_of
from benchmarks.peers.embedding import EMBEDDING, Embedding
from benchmarks.peers.names import ANOMALIB, OF_SCIKIT_LEARN, check_peer
from benchmarks.peers.outcome import PeerError, PeerResult
from benchmarks.peers.pyod_classes import PYOD, pyod_class
from onlygood import SettingError

LOF_NEIGHBORS = 20


def run_peer(
    name: str, task: Task, *, seed: int, embedding: Mapping[str, Any] = EMBEDDING, threads: int = 0
) -> PeerResult:
    """A detector that sees, of each image, the mean of the embedding that method `patch` sees.

    The embeddings are standardised by the mean and standard deviation of the good images' in every direction.

    Args:
        name: of scikit-learn's peers, or `pyod:` and a class.
        task: what to learn from, what to judge.
        seed: of everything random in the detector, if anything is.
        embedding: settings of method patch that decide what the detector sees.
        threads: images worked on at once while learning, and threads on the one image while judging; 0 for one a
            core.

    Raises:
        SettingError: no such peer among these.
        MissingExtraError: its library is not installed.
        PeerError: the detector fails, or gives scores that are not numbers.
        ImageError, FolderError: an image that cannot be read or used.
        BackboneError: a backbone that cannot be used.
    """
    if name.startswith(ANOMALIB):
        raise SettingError(f"the peer {name} runs in a process of its own, got a call to run it here: use run_anomalib")
    check_peer(name)
    seen = Embedding.of(task.good, dict(embedding), threads=threads)
    started = time.perf_counter()
    rows = seen.of_good(task.good)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std[std == 0.0] = 1.0  # a direction without any variation says nothing, whatever it is divided by
    detector = _Detector(name, count=len(rows), seed=seed)
    detector.fit((rows - mean) / std)
    fit_s = time.perf_counter() - started
    embed = seen.inspector()
    scores = np.empty(len(task.test), dtype=np.float64)
    inspect_ms: list[float] = []
    for position, image in enumerate(task.test):
        pixels = seen.read(image)
        if position == 0:
            detector.score((embed(pixels) - mean) / std)  # the first run of a session prepares it
        begun = time.perf_counter()
        scores[position] = detector.score((embed(pixels) - mean) / std)
        inspect_ms.append(1000.0 * (time.perf_counter() - begun))
    if not np.isfinite(scores).all():
        count = int((~np.isfinite(scores)).sum())
        raise PeerError(f"the peer {name} must give every image a finite score, got {count} of {len(scores)} without")
    if scores.min() == scores.max():
        # Some detectors of PyOD only tell rows apart that they are given together.
        raise PeerError(
            f"the peer {name} must tell images apart when they come one at a time, got the score {scores[0]:.6g} for "
            f"all {len(scores)}"
        )
    return PeerResult(
        scores=scores,
        is_anomaly=detector.verdicts(scores),
        maps=None,
        fit_s=fit_s,
        inspect_ms=inspect_ms,
        model_bytes=_pickled_bytes((detector.detector, mean, std), beside=seen.model.ByteSize()),
        settings={**detector.settings, "seed": seed, "threads": threads, "embedding": seen.settings},
        versions=versions_of(detector.package, "scikit-learn", "onlygood", "onnxruntime", "numpy"),
    )


class _Detector:
    """One detector of scikit-learn or PyOD, with scores in one direction.

    Attributes:
        detector: the library's own object.
        package: that it is of, as the package index calls it.
        settings: its class and parameters, as plain JSON values.
    """

    def __init__(self, name: str, *, count: int, seed: int) -> None:
        """A detector that has learned nothing.

        Args:
            name: of the peer.
            count: how many images it will learn from.
            seed: of everything random.
        """
        self.name = name
        self.package = "pyod" if name.startswith(PYOD) else "scikit-learn"
        if self.package == "pyod":
            made = pyod_class(name)
        else:
            module, class_name = OF_SCIKIT_LEARN[name]
            made = getattr(importlib.import_module(module), class_name)
        chosen: dict[str, Any] = {}
        if name == "sklearn:ocsvm":
            chosen = {"kernel": "rbf", "gamma": "scale", "nu": 0.1}
        elif name == "sklearn:lof":
            # Fewer others than neighbours is all that scikit-learn allows.
            chosen = {"novelty": True, "n_neighbors": max(1, min(LOF_NEIGHBORS, count - 1))}
        elif name == "sklearn:iforest":
            chosen = {"random_state": seed}
        else:
            takes = inspect.signature(made).parameters
            chosen = {key: seed for key in ("random_state", "seed") if key in takes}
        self.detector = self._guarded("be made", lambda: made(**chosen))
        described = {key: _plain(value) for key, value in self.detector.get_params(deep=False).items()}
        self.settings = {"detector": f"{made.__module__}.{made.__qualname__}", "parameters": described}

    def fit(self, rows: NDArray[np.float64]) -> None:
        """Learn from rows [n, d]."""
        self._guarded("learn from good images alone", lambda: self.detector.fit(rows))

    def score(self, row: NDArray[np.float64]) -> float:
        """Of a row [d]; higher is more anomalous. scikit-learn's own direction is the other."""
        sign = 1.0 if self.package == "pyod" else -1.0
        found = self._guarded("judge an image", lambda: np.asarray(self.detector.decision_function(row[None]), float))
        if found.shape != (1,):
            raise PeerError(f"the peer {self.name} must give an image one score, got shape {list(found.shape)}")
        return sign * float(found[0])

    def verdicts(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """As the library's `predict`: scikit-learn's scores are centred, PyOD keeps a threshold from training."""
        threshold = float(self.detector.threshold_) if self.package == "pyod" else 0.0
        return scores > threshold

    def _guarded(self, what: str, work: Callable[[], Any]) -> Any:
        """Whatever another library raises is that peer's failure."""
        try:
            return work()
        except Exception as error:
            raise PeerError(f"the peer {self.name} cannot {what} ({type(error).__name__}: {error})") from error


def _plain(value: Any) -> Any:
    """A JSON value: numbers, texts and nothing as they are, all else as it is shown."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _pickled_bytes(value: Any, *, beside: int) -> int | None:
    """Size of what would have to be kept; nothing is ever read back."""
    try:
        return beside + len(pickle.dumps(value))
    except Exception:  # a library's own objects may hold what cannot be kept
        return None
