"""Running a graph: ONNX Runtime sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from onlygood._integers import check_threads
from onlygood.errors import ModelFileError, OnlygoodError, SettingError
from onlygood.graph.costs import CostBound, one_line

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# Errors are raised, too; what is logged of them quotes names from the file as they are.
FATAL_ONLY = 4
# The first version of ONNX Runtime in which it can be said how long threads spin, and how long they do.
SPIN_DURATION_SINCE = (1, 26)
SPIN_US = 200


def open_session(model: bytes, *, provider: str = "cpu", threads: int = 0) -> Any:
    """An `onnxruntime.InferenceSession` of a serialized model.

    Args:
        model: the file's content.
        provider: which hardware: one of PROVIDERS that this installation of ONNX Runtime has.
        threads: that share one image's work; 0 for one a core.

    Raises:
        SettingError: a provider that is not known or not installed, or a number of threads that cannot be used.
    """
    check_provider(provider)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = check_threads(threads)
    options.log_severity_level = FATAL_ONLY
    for entry, value in waiting_options(onnxruntime.__version__).items():
        options.add_session_config_entry(entry, value)
    names = [PROVIDERS[provider]] if provider == "cpu" else [PROVIDERS[provider], PROVIDERS["cpu"]]
    return onnxruntime.InferenceSession(model, options, providers=names)


def waiting_options(version: str) -> dict[str, str]:
    """How threads of an ONNX Runtime of this version are to wait for work: awake for SPIN_US at most, then asleep.

    Threads that spin for long take the cores from other work. Measured with two threads on two cores
    (`benchmarks/studies/patch_cost.py` says how), in milliseconds for one image alone, and beside two busy processes:
    spinning for long 34 and 124, for 100 or 300 microseconds 35 and 91 to 95, not at all 38 (52 on another day) and 93.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) < SPIN_DURATION_SINCE:
        return {"session.intra_op.allow_spinning": "0"}
    return {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": str(SPIN_US)}


@dataclass(frozen=True)
class ModelSession:
    """A session of a model file: `run` refuses images that would cost too much before it runs them.

    Attributes:
        session: of ONNX Runtime.
        name: what messages call the model.
        costs: of its graph.
    """

    session: Any
    name: str
    costs: CostBound


def open_model(content: bytes, name: str, costs: CostBound, *, provider: str = "cpu", threads: int = 0) -> ModelSession:
    """`open_session` of a model file.

    Args:
        content: the file's, or of a graph made of it that does no more work.
        name: what messages call it.
        costs: of the file's graph.
        provider: as for `open_session`.
        threads: as for `open_session`.

    Raises:
        ModelFileError: this ONNX Runtime cannot run it.
        SettingError: as `open_session`.
    """
    try:
        return ModelSession(open_session(content, provider=provider, threads=threads), name, costs)
    except OnlygoodError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no root of their own
        raise ModelFileError(
            f"the model {name} must be one that ONNX Runtime {onnxruntime.__version__} can run, got: "
            f"{one_line(error)}: install a newer onnxruntime, or fit again"
        ) from error


def check_provider(provider: str) -> None:
    """Refuse a provider that is not known or not installed.

    Raises:
        SettingError: with the list of those that are.
    """
    installed = set(onnxruntime.get_available_providers())
    usable = [name for name, full in PROVIDERS.items() if full in installed]
    if provider not in usable:
        raise SettingError(
            f"the provider must be one that this installation of ONNX Runtime has ({', '.join(usable)}), got "
            f"{provider!r}: install the matching onnxruntime package"
        )


def run(session: Any, outputs: Sequence[str], feeds: dict[str, Any]) -> list[Any]:
    """The named outputs. The session's others are computed, too: only a build for training can leave them out.

    Args:
        session: of ONNX Runtime, or a ModelSession.
        outputs: their names.
        feeds: the inputs, by their names.

    Raises:
        ModelFileError: a ModelSession whose model cannot be run on these images, or would cost too much.
    """
    options = onnxruntime.RunOptions()
    options.log_severity_level = FATAL_ONLY
    if not isinstance(session, ModelSession):
        return list(session.run(list(outputs), feeds, options))
    for images in feeds.values():
        session.costs.check(np.shape(images))
    try:
        return list(session.session.run(list(outputs), feeds, options))
    except Exception as error:  # ONNX Runtime's exceptions have no root of their own
        shape = " x ".join(str(size) for images in feeds.values() for size in np.shape(images))
        raise ModelFileError(
            f"the model {session.name} must be one that ONNX Runtime {onnxruntime.__version__} can run on images of "
            f"{shape} levels, got: {one_line(error)}: fit it again, or report this if it is one that was fitted"
        ) from error
