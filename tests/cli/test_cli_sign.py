"""`onlygood sign`, and `--require-signature` of the commands that read a model."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import one_sentence
from textures import save, texture, with_defect

MODEL = Path(__file__).parents[1] / "models" / "format-2-knn.onnx"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(MODEL, tmp_path / "part.onnx"))


@pytest.fixture
def key(run: Any, tmp_path: Path) -> Path:
    assert run("sign", "--new-key", tmp_path / "line").code == 0
    return tmp_path / "line"


@pytest.fixture
def test_images(tmp_path: Path) -> Path:
    save(tmp_path / "test" / "good", {f"{seed}.png": texture(seed) for seed in range(3)})
    save(tmp_path / "test" / "blot", {f"{seed}.png": with_defect(texture(seed)) for seed in range(3, 6)})
    return tmp_path / "test"


def test_a_new_key_is_two_files_of_which_one_is_private(run: Any, tmp_path: Path) -> None:
    ran = run("sign", "--new-key", tmp_path / "line")
    assert (ran.code, ran.err) == (0, "")
    private, public = ran.out.splitlines()
    assert private == f"{tmp_path / 'line'}: a private key; keep it where models are signed, and nowhere else"
    assert public == f"{tmp_path / 'line.pub'}: its public key; give it to --require-signature"
    assert (tmp_path / "line").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    if sys.platform != "win32":
        assert (tmp_path / "line").stat().st_mode & 0o077 == 0
    ran = run("sign", "--new-key", tmp_path / "line")
    assert ran.code == 2
    assert "must be a new file, got one that is there: keep it, and choose another name" in one_sentence(ran)


def test_every_command_that_reads_a_model_refuses_one_that_is_not_signed(
    run: Any, model: Path, key: Path, test_images: Path, tmp_path: Path
) -> None:
    public = f"{key}.pub"
    commands = (
        ("info", model),
        ("inspect", model, test_images / "good"),
        ("evaluate", model, test_images),
        ("calibrate", model, "--false-alarm-rate", 0.3, "-o", tmp_path / "new.onnx"),
        ("explore", model, test_images, "-o", tmp_path / "map.html"),
    )
    for command in commands:
        ran = run(*command, "--require-signature", public)
        assert ran.code == 2
        assert f"the model {model} must be signed by the key {public}, got one that is not signed" in one_sentence(ran)
    signed = run("sign", model, "--key", key)
    assert signed.code == 0 and signed.out.startswith(f"{model}: signed by the key ")
    for command in commands:
        ran = run(*command, "--require-signature", public)
        assert ran.code in (0, 1), ran.err


def test_info_says_by_whom_a_model_is_signed(run: Any, model: Path, key: Path) -> None:
    assert "signed by" not in run("info", model).out
    fingerprint = run("sign", model, "--key", key).out.split()[-1]
    said = run("info", model).out
    assert f"signed by: the key {fingerprint}, not checked: give it with --require-signature" in said
    said = run("info", model, "--require-signature", f"{key}.pub").out
    assert f"signed by: the key {fingerprint}, which is the one required" in said


def test_signing_can_leave_the_model_as_it_is(run: Any, model: Path, key: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    assert run("sign", model, "--key", key, "-o", tmp_path / "signed.onnx").code == 0
    assert model.read_bytes() == before
    assert run("info", tmp_path / "signed.onnx", "--require-signature", f"{key}.pub").code == 0


def test_calibrate_says_that_the_signature_is_gone(run: Any, model: Path, key: Path, tmp_path: Path) -> None:
    run("sign", model, "--key", key)
    ran = run("calibrate", model, "--false-alarm-rate", 0.3, "-o", tmp_path / "new.onnx")
    assert "note: The model that was given is signed, this one is another and is not: sign it with" in ran.err
    assert run("info", tmp_path / "new.onnx", "--require-signature", f"{key}.pub").code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "sign needs a model file and --key with a private key, got no model"),
        (["part.onnx"], "got no --key: give both"),
        (["part.onnx", "--new-key", "k"], "--new-key makes a key and signs nothing, got it with a model or a key"),
        (["none.onnx", "--key", "k"], "the model none.onnx does not exist"),
    ],
)
def test_what_cannot_be_signed_is_refused(run: Any, arguments: list[str], message: str) -> None:
    ran = run("sign", *arguments)
    assert ran.code == 2
    assert message in one_sentence(ran)


def test_a_limit_on_the_models_bytes(run: Any, model: Path) -> None:
    ran = run("info", model, "--max-model-bytes", 1000)
    assert (ran.code, ran.out) == (2, "")
    assert f"the model {model} must have at most 1000 bytes, got {model.stat().st_size}" in one_sentence(ran)
