"""What is imported, and what is not: torch never, runtimes only when they are needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("numpy", "onnx", "onnxruntime", "PIL", "tifffile", "imagecodecs", "tqdm", "torch")

# Runs a command line, then says which of the heavy modules it has imported.
COMMAND = f"""
import sys
from onlygood.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print("imported:", *[name for name in {HEAVY} if name in sys.modules])
raise SystemExit(code)
"""


@pytest.fixture
def fake_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which torch is there to be found, and raises when it is imported."""
    (tmp_path / "fake" / "torch").mkdir(parents=True)
    (tmp_path / "fake" / "torch" / "__init__.py").write_text("raise RuntimeError('torch was imported')\n")
    paths = [str(tmp_path / "fake"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(script: str, *arguments: object, env: dict[str, str] | None = None) -> tuple[int, list[str], str]:
    """The exit code, what the last line says was imported, and stderr."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    return ran.returncode, ran.stdout.splitlines()[-1].split()[1:] if ran.stdout else [], ran.stderr


def test_the_fake_torch_is_found_and_raises(fake_torch: dict[str, str]) -> None:
    code, _, err = run("import torch", env=fake_torch)
    assert code == 1
    assert "torch was imported" in err


def test_no_command_imports_torch(
    good_folder: Path, new_folder: Path, tmp_path: Path, fake_torch: dict[str, str]
) -> None:
    model = tmp_path / "part.onnx"
    fast = ("--input-size", "64", "--bank-size", "300", "--false-alarm-rate", "0.1")
    for code, arguments in (
        (0, ("fit", good_folder, "-o", model, *fast)),
        (1, ("inspect", model, new_folder, "--heatmaps", tmp_path / "maps")),
        (0, ("info", model)),
        (0, ("calibrate", model, "-o", tmp_path / "new.onnx", "--false-alarm-rate", "0.1")),
        (0, ("calibrate", model, "-o", tmp_path / "loose.onnx", "--threshold", "1000", "-q")),
        (0, ("drift", model, good_folder, "--baseline", "20")),
        (1, ("diff", model, tmp_path / "loose.onnx", new_folder)),
    ):
        found, imported, err = run(COMMAND, *arguments, env=fake_torch)
        assert (found, err) == (code, ""), arguments
        assert "torch" not in imported
        assert {"numpy", "onnx"} <= set(imported), "the list of what was imported works"


def test_the_package_imports_no_runtime_until_it_is_used() -> None:
    code, imported, err = run(f"import sys, onlygood\nprint('imported:', *[m for m in {HEAVY} if m in sys.modules])")
    assert (code, imported, err) == (0, [], "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("audit", "--help"),
        ("roi", "--help"),
        ("fit", "--help"),
        ("inspect", "--help"),
        ("calibrate", "--help"),
        ("compare", "--help"),
        ("explore", "--help"),
        ("drift", "--help"),
        ("diff", "--help"),
        ("completion", "--help"),
        ("info", "-h"),
        ("--version",),
    ],
)
def test_help_imports_no_runtime(arguments: tuple[str, ...]) -> None:
    code, imported, err = run(COMMAND, *arguments)
    assert (code, imported, err) == (0, [], "")


def test_settings_and_errors_import_no_runtime() -> None:
    script = f"""
import sys, onlygood
onlygood.Knn(num_neighbors=3)
onlygood.OnlygoodError
print("imported:", *[name for name in {HEAVY} if name in sys.modules])
"""
    assert run(script) == (0, [], "")


@pytest.mark.skipif(sys.platform != "linux", reason="torch computes with GNU's OpenMP on Linux")
@pytest.mark.parametrize(("given", "expected"), [({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77")])
def test_training_does_not_wait_long_beside_busy_neighbours(given: dict[str, str], expected: str) -> None:
    free = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    script = "import os, onlygood.training, torch\nprint('imported:', os.environ.get('GOMP_SPINCOUNT'))"
    code, after, err = run(script, env={**free, **given, "OMP_DISPLAY_ENV": "verbose"})
    assert code == 0
    assert f"GOMP_SPINCOUNT = '{expected}'" in err  # said by OpenMP, as it was loaded
    assert after == [given.get("GOMP_SPINCOUNT", "None")]  # of others that this process starts, nothing is decided


def test_the_runtime_keeps_nothing_for_its_maker(tmp_path):
    """From version 1.29 on, ONNX Runtime writes what it will send below the user's home when it is imported."""
    script = "import sys, onlygood; onlygood.Inspector(sys.argv[1]); print('imported:', 'onnxruntime' in sys.modules)"
    home = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    home |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "USERPROFILE": str(tmp_path)}
    code, imported, errors = run(script, Path(__file__).parent / "models" / "format-2-knn.onnx", env=home)
    assert (code, imported, errors) == (0, ["True"], "")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
