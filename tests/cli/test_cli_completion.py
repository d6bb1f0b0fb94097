"""Completion in shells: the script is sourced, and asked for completions as Tab does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onlygood.cli.completion
from onlygood.cli import COMMANDS

# Asks as bash does at Tab: the words of the line, the last of which is to be completed.
ASK_BASH = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
COMP_TYPE=9
function=$(complete -p onlygood | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function onlygood "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
# Of a line whose last word is to be completed: what it can become.
LINES = {
    ("",): list(COMMANDS),
    ("insp",): ["inspect"],
    ("inspect", "--heat"): ["--heatmaps"],
    ("inspect", "--qui"): ["--quiet"],
    ("inspect", ""): ["lot", "part.onnx"],
    ("inspect", "part.onnx", ""): ["a.html", "a.png", "lot", "part.onnx", "state.json"],
    ("inspect", "part.onnx", "lot", "--report", ""): ["a.html", "lot"],
    ("inspect", "part.onnx", "lot", "--heatmaps", ""): ["lot"],
    ("fit", "lot", "--method", "d"): ["deep-svdd", "discriminator", "doc"],
    ("fit", "lot", "--method", "knn", "--num"): ["--num-neighbors"],
    ("diff", ""): ["lot", "part.onnx"],
    ("diff", "part.onnx", ""): ["lot", "part.onnx"],
    ("drift", "part.onnx", "lot", "--state", ""): ["lot", "state.json"],
    ("completion", ""): ["bash", "fish", "zsh"],
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The script of each shell."""
    folder = tmp_path_factory.mktemp("scripts")
    found = {}
    for shell in ("bash", "zsh", "fish"):
        ran = subprocess.run([sys.executable, "-m", "onlygood", "completion", shell], capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
        found[shell] = folder / f"onlygood.{shell}"
        found[shell].write_text(ran.stdout)
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here")
    (folder / "lot").mkdir()
    for name in ("part.onnx", "a.html", "a.png", "state.json"):
        (folder / name).touch()
    return folder


def completed(shell: str, command: list[str | Path], here: Path) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    # The script calls the program by its name.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(command, capture_output=True, text=True, cwd=here, timeout=60, env=environment)
    assert ran.stderr == ""
    return sorted({line.rstrip(" /") for line in ran.stdout.splitlines()})


@pytest.mark.parametrize("line", LINES)
def test_bash_completes_commands_options_choices_and_files(
    line: tuple[str, ...], scripts: dict[str, Path], here: Path
) -> None:
    command = ["bash", "--norc", "-c", ASK_BASH, "bash", scripts["bash"], "onlygood", *line]
    assert completed("bash", command, here) == sorted(LINES[line])


@pytest.mark.parametrize("line", [line for line in LINES if line[-1] and line[0] != "fit"])
def test_fish_completes_the_same(line: tuple[str, ...], scripts: dict[str, Path], here: Path) -> None:
    asked = f"source {scripts['fish']}; complete -C 'onlygood {' '.join(line)}' | string replace -r '\\t.*' ''"
    assert completed("fish", ["fish", "--no-config", "-c", asked], here) == sorted(LINES[line])


def test_zsh_takes_its_script(scripts: dict[str, Path], here: Path) -> None:
    asked = f'autoload -Uz compinit; compinit -u -D; eval "$(cat {scripts["zsh"]})"; echo ${{_comps[onlygood]}}'
    assert completed("zsh", ["zsh", "-f", "-c", asked], here) == ["_python_argcomplete"]


def test_another_shell_is_refused_with_those_that_there_are(run: Any) -> None:
    ran = run("completion", "bsh")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("onlygood: the shell must be one of bash, zsh, fish, got 'bsh': did you mean bash?\n")


def test_help_imports_neither_this_nor_what_checks_settings() -> None:
    script = (
        "import sys; from onlygood.cli import make_parser; make_parser(['--help']); "
        "print([name for name in ('argcomplete', 'pydantic', 'numpy', 'onnx', 'torch') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_commands_listed_are_those_that_there_are() -> None:
    folder = Path(onlygood.cli.__file__).parent
    with_options = {path.stem for path in folder.glob("*.py") if "def add_options(" in path.read_text()}
    assert with_options == set(COMMANDS)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("onlygood fit lot --method knn --nu", ["fit", "lot", "--method", "knn", "--nu"]),
        ("onlygood inspect 'a b.onnx' ", ["inspect", "a b.onnx"]),
        ("onlygood inspect 'not clo", ["inspect", "'not", "clo"]),
    ],
)
def test_the_words_so_far_are_those_of_the_shell(line: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", f"{line}; more")
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert onlygood.cli.completion._words_so_far() == words
