"""Methods of other libraries that ours are compared with: one-class detectors on the same embeddings.

The patch methods of anomalib, which needs a Python environment of its own, are run by `peer_process`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._extras import need_extra
from onlygood._machine import versions_of
from onlygood._parallel import map_in_order
from onlygood.backbones.backbone import load_backbone
from onlygood.bench.tasks import Task, TaskImage
from onlygood.datasets.sources import Source
from onlygood.errors import MissingExtraError, OnlygoodError, SettingError
from onlygood.features.extraction import Embedder
from onlygood.features.input_kind import InputKind, input_kind
from onlygood.graph.patches import patch_embedding
from onlygood.graph.preprocess import preprocess
from onlygood.graph.runtime import open_session, run
from onlygood.graph.subgraph import join
from onlygood.graph.trunk import cut_trunk, opset_of
from onlygood.images.reading import ImageArray, read_image, require_depth
from onlygood.settings import FitSettings

SKLEARN, PYOD, ANOMALIB = "sklearn:", "pyod:", "anomalib:"
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

LOF_NEIGHBORS = 20
_OF_SCIKIT_LEARN = {
    "sklearn:ocsvm": ("sklearn.svm", "OneClassSVM"),
    "sklearn:lof": ("sklearn.neighbors", "LocalOutlierFactor"),
    "sklearn:iforest": ("sklearn.ensemble", "IsolationForest"),
}
_PYOD_ROOT = "BaseDetector"


class PeerError(OnlygoodError):
    """A peer failed, or gave what cannot be measured: its run is recorded as failed and never counts as a win."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PeerResult:
    """What a peer says of a task's test images, and what that took.

    Attributes:
        scores: float64 [n], higher is more anomalous.
        is_anomaly: its own verdicts, bool [n]; None if it has none that good images alone decided.
        maps: the anomaly map of a test image by its position, float32 [h, w] at the size that the peer works at; None
            if it has none.
        fit_s: wall time of learning: images read, embedded, fitted.
        inspect_ms: of each test image, one at a time, warm, from decoded pixels to score (and map).
        model_bytes: size of what was learned, with the network; None if it cannot be saved.
        settings: all that decides the result, as plain JSON values.
        versions: of the packages that did the work.
        peak_memory_mb: of the process that did the work, in 10^6 bytes; None for this process.
    """

    scores: NDArray[np.float64]
    is_anomaly: NDArray[np.bool_] | None
    maps: Callable[[int], NDArray[np.float32]] | None
    fit_s: float
    inspect_ms: list[float]
    model_bytes: int | None
    settings: dict[str, Any]
    versions: dict[str, str]
    peak_memory_mb: float | None = None


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
    if name in _OF_SCIKIT_LEARN:
        need_extra("scikit-learn", module="sklearn", extra="bench", purpose=f"the peer {name}")
    elif name.startswith(PYOD):
        _pyod_class(name)
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


def run_peer(name: str, task: Task, *, seed: int, backbone: str = "lite0", threads: int = 0) -> PeerResult:
    """A detector that sees, of each image, the mean of the embedding that method `patch` sees.

    The embeddings are standardised by the mean and standard deviation of the good images' in every direction.

    Args:
        name: of scikit-learn's peers, or `pyod:` and a class.
        task: what to learn from, what to judge.
        seed: of everything random in the detector, if anything is.
        backbone: as in FitSettings.
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
    settings = FitSettings(backbone=backbone, threads=threads, seed=seed)
    started = time.perf_counter()
    embedding = _Embedding.of(sources_of(task.good), settings)
    rows = embedding.of_good()
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std[std == 0.0] = 1.0  # a direction without any variation says nothing, whatever it is divided by
    detector = _Detector(name, count=len(rows), seed=seed)
    detector.fit((rows - mean) / std)
    fit_s = time.perf_counter() - started
    embed = embedding.inspector()
    scores = np.empty(len(task.test), dtype=np.float64)
    inspect_ms: list[float] = []
    for position, image in enumerate(task.test):
        pixels = embedding.read(image)
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
        model_bytes=_pickled_bytes((detector.detector, mean, std), beside=embedding.model.ByteSize()),
        settings={**detector.settings, "seed": seed, "threads": threads, "embedding": embedding.settings},
        versions=versions_of(detector.package, "scikit-learn", "onlygood", "onnxruntime", "numpy"),
    )


def sources_of(images: Sequence[TaskImage]) -> list[Source]:
    """A task's images as a fit takes them."""
    return [Source(image.name, image.name, partial(_read, image)) for image in images]


def _read(image: TaskImage) -> ImageArray:
    return read_image(image.source, name=image.name, page=image.page)


# Embeddings


@dataclass(frozen=True)
class _Embedding:
    """Images to vectors: the graph up to `embedding`, as `fit` makes it for method patch, then the mean of its grid.

    Attributes:
        sources: the good images.
        kind: bit depth and window that the good images decided.
        model: the graph.
        threads: as in `run_peer`.
        settings: what decides the vectors.
    """

    sources: Sequence[Source]
    kind: InputKind
    model: onnx.ModelProto
    threads: int
    settings: dict[str, Any]

    @classmethod
    def of(cls, sources: Sequence[Source], settings: FitSettings) -> _Embedding:
        backbone = load_backbone(settings.backbone)
        card = backbone.card
        taps, input_size = card.choose_taps(None), card.input_size
        kind = input_kind(sources, settings, show_progress=False)
        trunk = cut_trunk(backbone, taps)
        opset = opset_of(trunk)
        grid = math.ceil(input_size / max(tap.reduction for tap in taps))
        model = join(
            preprocess(card, input_shape=(input_size, input_size), dtype=kind.dtype, window=kind.window, opset=opset),
            trunk,
            patch_embedding(taps, input_shape=(input_size, input_size), grid=(grid, grid), opset=opset),
            outputs=["embedding"],
        )
        described: dict[str, Any] = {
            "backbone": card.name,
            "taps": [tap.name for tap in taps],
            "input_size": input_size,
            "window": [kind.window.black, kind.window.white],
            "pooling": "mean over the grid",
            "standardised": "by mean and standard deviation of the good images",
        }
        return cls(sources, kind, model, settings.threads, described)

    def read(self, image: TaskImage) -> ImageArray:
        """The pixels, if they have the bit depth of the good images."""
        pixels = _read(image)
        require_depth(pixels, self.kind.dtype, image.name)
        return pixels

    def of_good(self) -> NDArray[np.float64]:
        """Vectors of the good images, [n, d]: several images at once, each on one thread."""
        embedder = Embedder(self.model)

        def embed(source: Source) -> NDArray[np.float64]:
            pixels = source.read()
            require_depth(pixels, self.kind.dtype, source.name)
            return _pooled(embedder(pixels))

        return np.stack(list(map_in_order(embed, self.sources, threads=self.threads)))

    def inspector(self) -> Callable[[ImageArray], NDArray[np.float64]]:
        """What makes one image's vector [d] as fast as possible: all threads on that image."""
        session = open_session(self.model.SerializeToString(), threads=self.threads)
        return lambda pixels: _pooled(run(session, ["embedding"], {"image": pixels[None]})[0][0])


def _pooled(embedding: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(embedding.mean(axis=(0, 1), dtype=np.float64))


# Detectors


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
            made = _pyod_class(name)
        else:
            module, class_name = _OF_SCIKIT_LEARN[name]
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


def _pyod_class(name: str) -> Any:
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


def _plain(value: Any) -> Any:
    """A JSON value: numbers, texts and nothing as they are, all else as it is shown."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _pickled_bytes(value: Any, *, beside: int) -> int | None:
    """Size of what would have to be kept; nothing is ever read back."""
    try:
        return beside + len(pickle.dumps(value))
    except Exception:  # a library's own objects may hold what cannot be kept
        return None
