"""Commands whose standard streams are closed or full, as services, cron and full disks have them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import FAST
from textures import save, texture, with_defect

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes them")

STDIN, STDOUT, STDERR = "<&-", ">&-", "2>&-"
NEEDS = "needs the standard output, which is closed: open it, or send it to a file\n"


def redirected(redirection: str, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command under a shell's redirection."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "onlygood", *map(str, arguments)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = {"good/a.png": texture(100), "good/b.png": texture(103), "crack/c.png": with_defect(texture(104))}
    return save(tmp_path_factory.mktemp("test"), images)


def line_of(command: str, model: Path, new: Path, labelled: Path) -> list[object]:
    return {
        "--version": ["--version"],
        "--help": ["--help"],
        "fit --help": ["fit", "--help"],
        "info": ["info", model],
        "inspect": ["inspect", model, new],
        "inspect --json": ["inspect", model, new, "--json"],
        "evaluate": ["evaluate", model, labelled],
        "methods": ["methods"],
        "completion": ["completion", "bash"],
    }[command]


COMMANDS = [
    ("--version", 0),
    ("--help", 0),
    ("fit --help", 0),
    ("info", 0),
    ("inspect", 1),
    ("inspect --json", 1),
    ("evaluate", 0),
    ("methods", 0),
    ("completion", 0),
]


@pytest.mark.parametrize("closed", [STDIN, STDERR, f"{STDIN} {STDERR}"])
@pytest.mark.parametrize(("command", "code"), COMMANDS)
def test_results_and_codes_do_without_the_other_streams(
    command: str, code: int, closed: str, model_path: Path, new_folder: Path, labelled: Path
) -> None:
    found, out, err = redirected(closed, *line_of(command, model_path, new_folder, labelled))
    assert (found, err) == (code, "")
    assert len(out) > 10


@pytest.mark.parametrize(("command", "_"), COMMANDS)
def test_without_output_the_code_tells_the_verdict_or_that_the_result_is_lost(
    command: str, _: int, model_path: Path, new_folder: Path, labelled: Path
) -> None:
    line = line_of(command, model_path, new_folder, labelled)
    for closed in (STDOUT, f"{STDIN} {STDOUT}"):
        found = redirected(closed, *line)
        if command == "inspect":
            assert found == (1, "", "")
        else:
            what = "what is asked for" if command.startswith("-") or command.endswith("--help") else command
            assert found == (2, "", f"onlygood: {what} {NEEDS}")
    assert redirected(f"{STDOUT} {STDERR}", *line) == (1 if command == "inspect" else 2, "", "")


def test_a_fit_without_any_stream_writes_the_very_same_model(
    good_folder: Path, model_path: Path, tmp_path: Path
) -> None:
    """With a number of a closed stream, the model file would hold what libraries print there."""
    out = tmp_path / "part.onnx"
    assert redirected(f"{STDIN} {STDOUT} {STDERR}", "fit", good_folder, "-o", out, *FAST) == (0, "", "")
    assert out.read_bytes() == model_path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["part.onnx"]


def test_an_error_without_any_stream_has_its_code(tmp_path: Path) -> None:
    assert redirected(f"{STDIN} {STDOUT} {STDERR}", "inspect", tmp_path / "none.onnx", tmp_path) == (2, "", "")
    assert redirected(f"{STDIN} {STDOUT} {STDERR}", "nonsense") == (2, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize(("command", "code"), COMMANDS)
def test_a_full_disk_below_a_stream(
    command: str, code: int, model_path: Path, new_folder: Path, labelled: Path
) -> None:
    line = line_of(command, model_path, new_folder, labelled)
    sentence = "onlygood: the standard output cannot be written: no space left on device: make room\n"
    assert redirected(">/dev/full", *line) == (2, "", sentence)
    found, out, err = redirected("2>/dev/full", *line)
    assert (found, err) == (code, "")
    assert out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_an_error_that_cannot_be_said_has_its_code(tmp_path: Path) -> None:
    assert redirected("2>/dev/full", "inspect", tmp_path / "none.onnx", tmp_path) == (2, "", "")


def test_an_output_that_is_there_to_be_read_is_said_so(model_path: Path, new_folder: Path) -> None:
    found = redirected("1</dev/null", "inspect", model_path, new_folder, "--json")
    assert found == (
        2,
        "",
        "onlygood: the standard output cannot be written: bad file descriptor: send it elsewhere\n",
    )
