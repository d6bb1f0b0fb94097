"""What the command line says of a line that it cannot understand, and what it says when it is to be quiet."""

import json
import re
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from command_line import FAST
from onlygood.cli.values import rate
from textures import numbered, save, texture, textures, twelve_bit

# Of a line: the sentence that answers it, and the command whose help is named.
MISTAKES = {
    "inspect --heatmap x": ("inspect has no option --heatmap: did you mean --heatmaps?", "inspect"),
    "inspect m.onnx new --heatmap=x": ("inspect has no option --heatmap: did you mean --heatmaps?", "inspect"),
    "fit good -o p --false-alarm 0.1": ("fit has no option --false-alarm: did you mean --false-alarm-rate?", "fit"),
    "fit good -o p --golden --augment-blurr 1": (
        "fit has no option --augment-blurr: did you mean --augment-blur?",
        "fit",
    ),
    "fit good -o p --method knn --reference x": (
        "fit has no option --reference with method knn: it goes with --method doc",
        "fit",
    ),
    "fit good -o p --zzzz 3": ("fit has no option --zzzz", "fit"),
    "info -x m.onnx": ("info has no option -x", "info"),
    "--jso info m.onnx": ("onlygood has no option --jso", ""),
    "inspct m.onnx new": ("the command must be one of fit, inspect, .*, got 'inspct': did you mean inspect\\?", ""),
    "": ("onlygood needs COMMAND \\(fit, inspect, .*\\), got none", ""),
    "inspect": ("inspect needs MODEL, IMAGES, got none", "inspect"),
    "fit good": ("fit needs -o/--output, got none", "fit"),
    "fit good -o": ("--output needs a value, got none", "fit"),
    "fit good -o p --input-size big": ("--input-size must be a whole number, got 'big'", "fit"),
    "explore m.onnx new -o a.html --perplexity 3,5": ("--perplexity must be a number, got '3,5'", "explore"),
    "fit good -o p --window black": ("--window must be two levels such as 0,4095, got 'black'", "fit"),
    "info m.onnx --json=3": ("--json takes no value, got '3'", "info"),
    "info m.onnx n.onnx": ("info takes no more arguments, got also 'n.onnx'", "info"),
    "info m.onnx -q -v": ("--verbose does not go with -q/--quiet", "info"),
    "calibrate m.onnx -o n --false-alarm-rate 5": (
        "--false-alarm-rate must be a share of at most 1, such as 0.05 or 5%, got '5': did you mean 5%\\?",
        "calibrate",
    ),
    "inspect m.onnx a --false-alarm-rate 0,05": (
        "--false-alarm-rate must be a share such as .*, got '0,05': did you mean 0.05\\?",
        "inspect",
    ),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_line_that_cannot_be_understood_gets_a_sentence_and_the_way_to_help(run: Any, line: str) -> None:
    message, command = MISTAKES[line]
    ran = run(*line.split())
    assert (ran.code, ran.out) == (2, "")
    said, where = ran.err.splitlines()
    assert re.fullmatch(f"onlygood: {message if '.*' in message or chr(92) in message else re.escape(message)}", said)
    assert where == f"`onlygood {command} --help` shows what can be given.".replace("  ", " ")


def test_the_help_that_is_named_exists(run: Any) -> None:
    for _, command in MISTAKES.values():
        assert run(*command.split(), "--help").code == 0


def test_images_stand_before_and_behind_options(run: Any, model_path: Path, tmp_path: Path) -> None:
    save(tmp_path, {f"{number}.png": texture(number) for number in range(3)})
    one, two, three = (tmp_path / f"{number}.png" for number in range(3))
    inspected = run("inspect", model_path, one, "--threads", "1", two, "--json", "--", three)
    assert [json.loads(line)["name"] for line in inspected.out.splitlines()] == [
        str(each) for each in (one, two, three)
    ]
    calibrated = run("calibrate", model_path, "-o", tmp_path / "c.onnx", one, "--false-alarm-rate", "0.4", two, three)
    assert (calibrated.code, "c.onnx" in calibrated.out) == (0, True)
    for line in (("-q", ""), ("", "-q")):
        assert run("inspect", model_path, one, *line).err == (
            "onlygood: IMAGES must not be empty, got '': give a value, or leave it out\n"
            "`onlygood inspect --help` shows what can be given.\n"
        )


def test_numbers_below_zero_and_values_with_a_space_are_no_options(
    run: Any, model_path: Path, new_folder: Path
) -> None:
    assert "threads must be 0" in run("inspect", model_path, new_folder, "--threads", "-1").err
    assert "-a b.png does not exist" in run("inspect", model_path, "-a b.png").err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *{
            "0.05": 0.05,
            "5%": 0.05,
            " 5 % ": 0.05,
            "0.1%": 0.001,
            "2.3%": 0.023,
            "1e-3": 0.001,
            "1": 1,
            "0": 0,
            "100%": 1,
        }.items()
    ],
)
def test_a_rate_is_a_share_or_a_percentage(text: str, value: float) -> None:
    assert rate(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "must be a share of at most 1, such as 0.05 or 5%, got '5': did you mean 5%?"),
        ("1.5", "must be a share of at most 1, such as 0.05 or 5%, got '1.5': did you mean 1.5%?"),
        ("500", "must be a share of at most 1, such as 0.05 or 5%, got '500'"),
        ("0,05", "must be a share such as 0.05 or 5%, got '0,05': did you mean 0.05?"),
        ("2,5%", "must be a share such as 0.05 or 5%, got '2,5%': did you mean 2.5%?"),
        ("101%", "must be a share of at most 1, such as 0.05 or 5%, got '101%'"),
        *(
            (text, f"must be a share such as 0.05 or 5%, got {text!r}")
            for text in ("", "%", "five", "nan", "inf", "5%%")
        ),
    ],
)
def test_what_is_no_rate_is_refused_with_a_remedy(text: str, message: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        rate(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("command", ["inspect", "calibrate"])
def test_a_percentage_is_the_share(run: Any, command: str, model_path: Path, new_folder: Path, tmp_path: Path) -> None:
    rest = {"inspect": (new_folder,), "calibrate": ("-o", tmp_path / "n.onnx")}[command]
    outputs = [run(command, model_path, *rest, "--false-alarm-rate", text).out for text in ("0.2", "20%")]
    assert outputs[0] == outputs[1]
    assert "a false-alarm rate of 0.2" in outputs[0]


def test_quiet_leaves_results_and_errors_alone(run: Any, model_path: Path, new_folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "new", {"a.png": texture(90), "deep.png": twelve_bit(0)})
    (tmp_path / "new" / "labels.csv").write_text("a.png,good")
    loud = run("inspect", model_path, tmp_path / "new", "--json", "--false-alarm-rate", 0.5)
    quiet = run("inspect", model_path, tmp_path / "new", "--json", "--false-alarm-rate", 0.5, "-q")
    names = [[json.loads(line)["name"] for line in ran.out.splitlines()] for ran in (loud, quiet)]
    assert names == [["a.png", "deep.png"]] * 2
    assert quiet.code == loud.code == 2
    said = [line for line in loud.err.splitlines() if not line.startswith("note: ")]
    assert len(said) < len(loud.err.splitlines())
    assert quiet.err.splitlines() == said
    assert said[0].startswith("onlygood: deep.png has 16 bits a channel")
    assert run("inspect", model_path, tmp_path / "new").err.startswith("note: "), "it holds for one run alone"


def test_a_quiet_fit_says_its_guarantee_and_no_notes(run: Any, tmp_path: Path) -> None:
    save(tmp_path / "good", numbered([*textures(9), texture(0)]))
    line = ("fit", tmp_path / "good", "-o", tmp_path / "part.onnx", *FAST)
    loud, quiet = run(*line), run(*line, "--quiet")
    assert "near-duplicates" in loud.err
    assert quiet == (0, loud.out, "")


def test_every_command_can_be_quiet(run: Any) -> None:
    for command in (
        "audit",
        "roi",
        "fit",
        "inspect",
        "evaluate",
        "calibrate",
        "explore",
        "info",
        "completion",
    ):
        assert "-q, --quiet" in run(*command.split(), "--help").out, command
