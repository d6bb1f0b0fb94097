"""Peers: other libraries' detectors on our embeddings, in our direction, and what is refused."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.svm import OneClassSVM

from benchmarks.datasets.tasks import Task, TaskImage
from benchmarks.peers import names, pyod_classes
from benchmarks.peers.detectors import run_peer
from benchmarks.peers.embedding import EMBEDDING, Embedding
from benchmarks.peers.names import PEERS, check_peer, is_peer
from benchmarks.peers.outcome import PeerError, PeerResult
from onlygood import ImageFormatError, MissingExtraError, SettingError, read_image
from onlygood.backbones.backbone import load_backbone
from onlygood.graph.patches import patch_embedding
from onlygood.graph.preprocess import preprocess
from onlygood.graph.runtime import open_session
from onlygood.graph.subgraph import join
from onlygood.graph.trunk import cut_trunk
from onlygood.images.window import FULL_8_BIT
from textures import Array, textures, twelve_bit
from tiny_backbone import tiny_card, tiny_model, write_backbone

GOOD, TEST_GOOD = 30, 5
OF_SCIKIT_LEARN = ("sklearn:ocsvm", "sklearn:lof", "sklearn:iforest")
# The rows and columns of the two: nothing that blurred noise would show.
ODD = np.tile(np.repeat(np.array([0, 255], dtype=np.uint8), 8), 6)[None].repeat(96, axis=0)


def make_task(good: list[Any], test: list[Any]) -> Task:
    """The last of the test images is the anomalous one."""
    return Task(
        data="textures",
        class_name="all",
        good=tuple(TaskImage(name=f"good/{number}", source=one) for number, one in enumerate(good)),
        test=tuple(
            TaskImage(name=f"test/{number}", source=one, is_anomalous=number == len(test) - 1, defect="stripes")
            for number, one in enumerate(test)
        ),
        notes=(),
    )


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_backbone(tmp_path_factory.mktemp("tiny"), tiny_model(), tiny_card()))


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task(textures(GOOD), [*textures(TEST_GOOD, start=100), ODD])


def run(name: str, task: Task, backbone: str, *, seed: int = 0) -> PeerResult:
    return run_peer(name, task, seed=seed, embedding={"backbone": backbone}, threads=1)


def reference_rows(task: Task, backbone: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standardised mean embeddings of good and test images, by the pieces of graph that a fit makes."""
    loaded = load_backbone(backbone)
    card, taps = loaded.card, loaded.card.choose_taps(None)
    side, grid = card.input_size, card.input_size // max(tap.reduction for tap in taps)
    shape = (side, side)
    pieces = (
        preprocess(card, input_shape=shape, dtype=np.dtype(np.uint8), window=FULL_8_BIT),
        cut_trunk(loaded, taps),
        patch_embedding(taps, input_shape=shape, grid=(grid, grid)),
    )
    session = open_session(join(*pieces, outputs=["embedding"]).SerializeToString(), threads=1)

    def row(image: TaskImage) -> NDArray[np.float64]:
        (embedding,) = session.run(["embedding"], {"image": read_image(image.source)[None]})
        return np.asarray(embedding.reshape(-1, 10).astype(np.float64).mean(axis=0))

    rows, others = (np.array([row(image) for image in images]) for images in (task.good, task.test))
    return (rows - rows.mean(axis=0)) / rows.std(axis=0), (others - rows.mean(axis=0)) / rows.std(axis=0)


def test_the_shipped_backbone_is_seen_at_two_taps() -> None:
    seen = Embedding.of([TaskImage(name="one", source=textures(1)[0])], EMBEDDING, threads=1)
    assert seen.settings["taps"] == ["stage2", "stage4"] and seen.settings["input_shape"] == [224, 224]
    assert seen.inspector()(read_image(textures(1)[0])).shape == (40 + 112,)


# scikit-learn


@pytest.mark.parametrize(
    ("name", "detector"),
    [
        ("sklearn:ocsvm", OneClassSVM(kernel="rbf", gamma="scale", nu=0.1)),
        ("sklearn:lof", LocalOutlierFactor(novelty=True, n_neighbors=20)),
        ("sklearn:iforest", IsolationForest(random_state=3)),
    ],
)
def test_a_peer_is_the_librarys_detector_on_the_mean_of_the_embedding_that_patch_sees(
    name: str, detector: Any, task: Task, backbone: str
) -> None:
    rows, others = reference_rows(task, backbone)
    detector.fit(rows)
    found = run(name, task, backbone, seed=3)
    np.testing.assert_allclose(found.scores, -detector.decision_function(others), rtol=1e-4, atol=1e-6)
    assert found.is_anomaly is not None
    np.testing.assert_array_equal(found.is_anomaly, detector.predict(others) == -1)


@pytest.mark.parametrize("name", OF_SCIKIT_LEARN)
def test_an_odd_image_scores_highest_and_is_called_anomalous(name: str, task: Task, backbone: str) -> None:
    found = run(name, task, backbone)
    assert found.scores.argmax() == TEST_GOOD
    assert found.is_anomaly is not None
    assert found.is_anomaly[TEST_GOOD]
    assert not found.is_anomaly.all()


@pytest.mark.parametrize("name", OF_SCIKIT_LEARN)
def test_a_run_again_gives_the_same_and_says_what_it_took(name: str, task: Task, backbone: str) -> None:
    first, second = run(name, task, backbone), run(name, task, backbone)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert first.settings == second.settings == json.loads(json.dumps(first.settings))
    assert (first.settings["embedding"]["backbone"], first.settings["seed"]) == ("tiny", 0)
    assert first.maps is None
    assert len(first.inspect_ms) == TEST_GOOD + 1
    assert min(first.inspect_ms) > 0.0
    assert first.fit_s > 0.0
    assert first.model_bytes is not None
    assert first.model_bytes > Path(backbone).stat().st_size / 2, "the network is counted"
    assert {"scikit-learn", "onnxruntime", "numpy"} <= set(first.versions)


def test_the_seed_decides_where_something_is_random(task: Task, backbone: str) -> None:
    assert not np.array_equal(
        run("sklearn:iforest", task, backbone).scores, run("sklearn:iforest", task, backbone, seed=1).scores
    )
    np.testing.assert_array_equal(
        run("sklearn:ocsvm", task, backbone).scores, run("sklearn:ocsvm", task, backbone, seed=1).scores
    )


def test_neighbours_are_as_many_as_there_are_others(backbone: str) -> None:
    found = run("sklearn:lof", make_task(textures(8), [*textures(2, start=50), ODD]), backbone)
    assert found.settings["parameters"]["n_neighbors"] == 7
    assert found.scores.argmax() == 2


def test_equal_good_images_still_tell_another_apart(backbone: str) -> None:
    """Every direction has a standard deviation of 0, by which nothing must be divided."""
    found = run("sklearn:ocsvm", make_task([textures(1)[0]] * 5, [textures(1)[0], ODD]), backbone)
    assert np.isfinite(found.scores).all()
    assert found.scores[1] > found.scores[0]


def test_bytes_and_files_are_read_as_arrays_are(tmp_path: Path, task: Task, backbone: str) -> None:
    def encoded(image: Array) -> bytes:
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="PNG")
        return file.getvalue()

    paths = [tmp_path / f"{number}.png" for number in range(GOOD)]
    for path, image in zip(paths, task.good, strict=True):
        assert isinstance(image.source, np.ndarray)
        path.write_bytes(encoded(image.source))
    test = [encoded(image.source) for image in task.test if isinstance(image.source, np.ndarray)]
    found = run("sklearn:ocsvm", make_task(paths, test), backbone)
    np.testing.assert_array_equal(found.scores, run("sklearn:ocsvm", task, backbone).scores)


def test_sixteen_bit_images_are_seen_through_the_window_of_the_good_ones(backbone: str) -> None:
    good = [twelve_bit(seed) for seed in range(8)]
    found = run(
        "sklearn:ocsvm", make_task(good, [twelve_bit(50), twelve_bit(51), ODD.astype(np.uint16) * 8 + 500]), backbone
    )
    black, white = found.settings["embedding"]["window"]
    assert 0 <= black < white < 3000
    assert found.scores.argmax() == 2


def test_images_of_two_depths_are_refused(backbone: str) -> None:
    with pytest.raises(ImageFormatError, match=r"^test/1 has 16 bits a channel, the good images have 8: "):
        run("sklearn:ocsvm", make_task(textures(5), [ODD, twelve_bit(0)]), backbone)
    with pytest.raises(ImageFormatError, match=r"^good/5 has 16 bits a channel, the good images have 8: "):
        run("sklearn:ocsvm", make_task([*textures(5), twelve_bit(0)], [ODD]), backbone)


# Names


def test_names_of_peers_are_told_from_those_of_methods() -> None:
    assert all(is_peer(name) for name in (*PEERS, "pyod:ECOD"))
    assert not any(is_peer(name) for name in ("patch", "patch@bank_size=5", "lof", "lof2", "knn", "anomalib"))


@pytest.mark.parametrize("name", ["svm", "anomalib:stfpm", "anomalib:", ""])
def test_a_peer_that_is_not_known_is_refused_with_those_that_are(name: str, task: Task) -> None:
    known = (
        "a peer must be one of sklearn:ocsvm, sklearn:lof, sklearn:iforest, pyod:NAME, anomalib:patchcore, "
        f"anomalib:padim, got {name!r}"
    )
    with pytest.raises(SettingError) as refused:
        check_peer(name)
    assert str(refused.value) == known


@pytest.mark.parametrize("name", OF_SCIKIT_LEARN)
def test_scikit_learns_peers_can_be_run(name: str) -> None:
    check_peer(name)


def test_anomalib_needs_an_interpreter_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^the peer anomalib:padim runs in a Python environment that has anomalib"):
        check_peer("anomalib:padim")
    with pytest.raises(SettingError, match=r"^--peer-python must be the interpreter of an .*, got .*nowhere$"):
        check_peer("anomalib:padim", peer_python=tmp_path / "nowhere")
    check_peer("anomalib:padim", peer_python=Path(sys.executable))


def test_anomalib_is_not_run_in_this_process(task: Task) -> None:
    with pytest.raises(SettingError, match=r"^the peer anomalib:padim runs in a process of its own, .* use run_anom"):
        run_peer("anomalib:padim", task, seed=0)


def test_what_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    monkeypatch.setattr(names, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"^the peer sklearn:lof needs scikit-learn, .* pip install 'onlygood\[bench\]'"
    ):
        run_peer("sklearn:lof", task, seed=0)
    monkeypatch.setattr(pyod_classes, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"^the peer pyod:ECOD needs PyOD, .*: run pip install pyod$"):
        run_peer("pyod:ECOD", task, seed=0)


# PyOD: what stands for it is laid out as it is, with one way to go wrong in each module

PYOD_MODULES = {
    "base.py": """
import abc

class BaseDetector(metaclass=abc.ABCMeta):
    def __init__(self, contamination=0.1):
        self.contamination = contamination

    def get_params(self, deep=True):
        return {"contamination": self.contamination, "centre": object}
""",
    "base_dl.py": """
from .base import BaseDetector

class BaseDeepLearningDetector(BaseDetector):
    pass
""",
    # Not named after its class; knows its threshold from training.
    "distance_to_mean.py": """
import numpy as np
from .base import BaseDetector

class Helper:
    pass

class FromMean(BaseDetector):
    def fit(self, X, y=None):
        assert y is None
        self.mean_ = X.mean(axis=0)
        self.threshold_ = np.quantile(self.decision_function(X), 0.9)
        return self

    def decision_function(self, X):
        return np.linalg.norm(X - self.mean_, axis=1)
""",
    "seeded.py": """
import numpy as np
from pyod.models import base, distance_to_mean

class Seeded(distance_to_mean.FromMean):
    def __init__(self, contamination=0.1, random_state=None):
        super().__init__(contamination)
        self.random_state = random_state

    def get_params(self, deep=True):
        return {"random_state": self.random_state}

    def decision_function(self, X):
        return super().decision_function(X) + self.random_state
""",
    "unfit.py": """
from .base_dl import BaseDeepLearningDetector

class Unfit(BaseDeepLearningDetector):
    def fit(self, X, y=None):
        raise ValueError("labels are needed")
""",
    "unable.py": """
from .distance_to_mean import FromMean

class Unable(FromMean):
    def decision_function(self, X):
        if len(X) == 1:
            raise IndexError("one is too few")
        return super().decision_function(X)
""",
    "same.py": """
import numpy as np
from .distance_to_mean import FromMean

class Same(FromMean):
    def decision_function(self, X):
        return np.full(len(X), 0.5)

class NotANumber(FromMean):
    def decision_function(self, X):
        return super().decision_function(X) * (np.nan if len(X) == 1 else 1.0)

class Three(FromMean):
    def decision_function(self, X):
        return np.zeros(3)
""",
    "demanding.py": """
from .base import BaseDetector

class Demanding(BaseDetector):
    def __init__(self, others):
        pass
""",
    "wants_torch.py": """
from .base import BaseDetector
raise ImportError("No module named 'torch'")

class WantsTorch(BaseDetector):
    pass
""",
    "careless.py": """
from .base import BaseDetector

class Layer(nn.Module):
    pass

class Careless(BaseDetector):
    pass
""",
}


@pytest.fixture
def pyod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    models = tmp_path / "pyod" / "models"
    models.mkdir(parents=True)
    for folder in (models.parent, models):
        (folder / "__init__.py").write_text("")
    for name, content in PYOD_MODULES.items():
        (models / name).write_text(content)
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "pyod"}
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "pyod"]:
        del sys.modules[name]
    sys.modules.update(hidden)


def test_a_detector_of_pyod_is_found_by_its_class_and_keeps_its_direction(
    pyod: None, task: Task, backbone: str
) -> None:
    rows, others = reference_rows(task, backbone)
    found = run("pyod:FromMean", task, backbone, seed=7)
    np.testing.assert_allclose(found.scores, np.linalg.norm(others, axis=1), rtol=1e-4)
    threshold = np.quantile(np.linalg.norm(rows, axis=1), 0.9)
    assert found.is_anomaly is not None
    np.testing.assert_array_equal(found.is_anomaly, found.scores > threshold)
    assert found.scores.argmax() == TEST_GOOD
    assert found.settings["detector"] == "pyod.models.distance_to_mean.FromMean"
    assert found.settings["parameters"] == {"contamination": 0.1, "centre": "<class 'object'>"}


def test_a_detector_of_pyod_that_takes_a_seed_gets_it(pyod: None, task: Task, backbone: str) -> None:
    plain, seeded = run("pyod:FromMean", task, backbone, seed=7), run("pyod:Seeded", task, backbone, seed=7)
    np.testing.assert_allclose(seeded.scores, plain.scores + 7)
    assert seeded.settings["parameters"] == {"random_state": 7}


def test_a_detector_that_pyod_does_not_have_is_refused_with_those_that_it_has(pyod: None) -> None:
    check_peer("pyod:FromMean")
    with pytest.raises(SettingError) as refused:
        check_peer("pyod:Helper")
    assert str(refused.value) == (
        "a peer of PyOD must be one of its detectors (Careless, Demanding, FromMean, NotANumber, Same, Seeded, Three, "
        "Unable, Unfit, WantsTorch), got 'Helper'"
    )


def test_a_detector_of_pyod_that_needs_more_says_what(pyod: None) -> None:
    with pytest.raises(
        MissingExtraError, match=r"^the peer pyod:WantsTorch needs more than PyOD alone: No module named 'torch'$"
    ):
        check_peer("pyod:WantsTorch")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Careless", r"cannot be imported \(NameError: name 'nn' is not defined\)$"),
        ("Demanding", r"cannot be made \(TypeError: .*others"),
        ("Unfit", r"cannot learn from good images alone \(ValueError: labels are needed\)$"),
        ("Unable", r"cannot judge an image \(IndexError: one is too few\)$"),
        ("Three", r"must give an image one score, got shape \[3\]$"),
        ("NotANumber", r"must give every image a finite score, got 6 of 6 without$"),
        ("Same", r"must tell images apart when they come one at a time, got the score 0\.5 for all 6$"),
    ],
)
def test_a_detector_of_pyod_that_fails_is_said_to_fail(
    pyod: None, task: Task, backbone: str, name: str, message: str
) -> None:
    with pytest.raises(PeerError, match=f"^the peer pyod:{name} {message}"):
        run(f"pyod:{name}", task, backbone)
