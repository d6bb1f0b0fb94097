"""How sessions of ONNX Runtime are opened."""

import onnxruntime
import pytest

from onlygood.graph.runtime import open_session, waiting_options
from tiny_backbone import tiny_model


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.20.0", {"session.intra_op.allow_spinning": "0"}),
        ("1.25.1", {"session.intra_op.allow_spinning": "0"}),
        ("1.26.0", {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "200"}),
        ("2.0.0+cpu", {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "200"}),
    ],
)
def test_threads_wait_awake_for_a_short_time_where_that_can_be_said(version: str, expected: dict[str, str]) -> None:
    assert waiting_options(version) == expected


def test_sessions_are_opened_with_these_options() -> None:
    options = open_session(tiny_model().SerializeToString()).get_session_options()
    for name, value in waiting_options(onnxruntime.__version__).items():
        assert options.get_session_config_entry(name) == value
