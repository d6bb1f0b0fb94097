"""Signatures: of exactly the bytes that are read, by exactly the key that is asked for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import onlygood
from onlygood.errors import MissingExtraError, ModelFileError, SettingError
from onlygood.graph.model_file import read_model_file, unpack
from onlygood.graph.signature import (
    SIGNATURE_KEY,
    fingerprint_in,
    make_keys,
    require_signature_of,
    sign_content,
)
from textures import texture

MODEL = Path(__file__).parents[1] / "models" / "format-2-knn.onnx"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "line")


def write_keys(path: Path) -> Path:
    private, public = make_keys()
    path.write_bytes(private)
    path.with_name(f"{path.name}.pub").write_bytes(public)
    return path


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def refused(content: bytes, key: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        require_signature_of(content, public(key), "part.onnx")
    assert str(caught.value).startswith("the model part.onnx must be ")
    return str(caught.value)


def test_a_signed_file_is_a_model_file_with_the_same_answers(key: Path, tmp_path: Path) -> None:
    content = MODEL.read_bytes()
    signed = sign_content(content, key)
    require_signature_of(signed, public(key), "x")
    assert signed.startswith(content)
    onnx.checker.check_model(onnx.load_model_from_string(signed))
    assert onnx.load_model_from_string(signed).metadata_props[-1].key == SIGNATURE_KEY
    assert unpack(signed, "x").metadata == unpack(content, "x").metadata
    path = tmp_path / "part.onnx"
    path.write_bytes(signed)
    inspect = onlygood.Inspector(path, require_signature=public(key))
    assert inspect(texture(500)).score == onlygood.Inspector(MODEL)(texture(500)).score
    # What was made of it is in memory, and is asked again.
    assert onlygood.Inspector(inspect, require_signature=public(key)).file is inspect.file
    assert read_model_file(path, require_signature=public(key)).content == signed


def test_a_file_is_refused_whichever_of_its_bits_is_flipped(key: Path) -> None:
    signed = sign_content(MODEL.read_bytes(), key)
    random = np.random.default_rng(0)
    for place in {*random.integers(0, len(signed), 300).tolist(), *range(len(signed) - 160, len(signed))}:
        changed = bytearray(signed)
        changed[place] ^= 1 << int(random.integers(8))
        refused(bytes(changed), key)


def test_nothing_can_be_put_in_that_a_reader_would_overlook(key: Path) -> None:
    """Not even where the digest, which is of what is read, stays right."""
    content = MODEL.read_bytes()
    signed = sign_content(content, key)
    signature = signed[len(content) :]
    unknown = b"\xfa\x7f\x03abc"  # a field that ONNX does not have
    note = onnx.ModelProto()
    note.metadata_props.add(key="line", value="4")
    entry = note.SerializeToString()
    again = onnx.load_model_from_string(signed).SerializeToString(deterministic=True)
    assert again == signed, "so that this is no other file"
    for changed in (
        content + unknown + signature,
        unknown + signed,
        content + entry + signature,
        entry + signed,
    ):
        assert "as it was signed, got a file that was changed since" in refused(changed, key)
        unpack(content + entry + signature, "x")
    for changed in (signed + unknown, signed + entry, signed[:-1], signature + content, content):
        assert "must be signed by the key" in refused(changed, key)
    # Two signatures: the last is of all before it, the first one included.
    twice = sign_content(signed, key)
    assert twice == signed
    assert "changed since" in refused(signed + signature, key)


def test_a_file_of_another_key_is_told_from_one_that_is_not_signed(key: Path, tmp_path: Path) -> None:
    other = write_keys(tmp_path / "other")
    content = MODEL.read_bytes()
    unsigned = refused(content, key)
    assert unsigned == (
        f"the model part.onnx must be signed by the key {public(key)}, got one that is not signed: sign it with "
        "`onlygood sign`, if you know where it comes from"
    )
    signed = sign_content(content, other)
    fingerprint = fingerprint_in(signed)
    assert fingerprint is not None and f"got a signature by another ({fingerprint})" in refused(signed, key)
    # One that claims to be of the key that is asked for.
    mine = fingerprint_in(sign_content(content, key))
    assert mine is not None
    assert "changed since" in refused(signed.replace(fingerprint.encode(), mine.encode()), key)
    assert fingerprint_in(content) is None


def test_signing_again_replaces_the_signature(key: Path, tmp_path: Path) -> None:
    other = write_keys(tmp_path / "other")
    content = MODEL.read_bytes()
    assert sign_content(sign_content(content, other), key) == sign_content(content, key)


def test_a_calibration_drops_the_signature_and_says_so(key: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(sign_content(MODEL.read_bytes(), key))
    model = onlygood.calibrate(path, false_alarm_rate=0.3, require_signature=public(key))
    assert fingerprint_in(model.file.content) is None
    note = "The model that was given is signed, this one is another and is not"
    assert any(each.startswith(note) for each in model.notes)
    assert not any(each.startswith(note) for each in model.metadata.recalibrations[-1].notes)
    with pytest.raises(ModelFileError, match="the model in memory must be signed by the key"):
        onlygood.Inspector(model, require_signature=public(key))
    # One that was not signed has nothing to lose.
    assert not any(each.startswith(note) for each in onlygood.calibrate(MODEL, false_alarm_rate=0.3).notes)


def test_a_key_that_cannot_be_used_is_refused(key: Path, tmp_path: Path) -> None:
    content = MODEL.read_bytes()
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    pkcs8, spki = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    elliptic = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec").write_bytes(elliptic.private_bytes(pem, pkcs8, none))
    (tmp_path / "ec.pub").write_bytes(elliptic.public_key().public_bytes(pem, spki))
    locked = ed25519.Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"a"))
    (tmp_path / "locked").write_bytes(locked)
    (tmp_path / "text").write_text("part number 7")
    for path, message in (
        ("ec", "a private key for Ed25519, got a key of another kind (ECPrivateKey)"),
        ("locked", "a private key without a password for Ed25519, got one with a password"),
        ("text", "a private key for Ed25519, got something else: make one with `onlygood sign --new-key`"),
        ("none", "a key for Ed25519, got a file that is not there"),
        (".", "a key for Ed25519, got a folder or a device"),
        ("line.pub", "a model is signed with a private key, got the public one"),
    ):
        with pytest.raises(SettingError) as caught:
            sign_content(content, tmp_path / path)
        assert message in str(caught.value)
    for path, message in (
        ("ec.pub", "a public key for Ed25519, got a key of another kind (ECPublicKey)"),
        ("text", "a public key for Ed25519, got something else"),
        ("none", "a key for Ed25519, got a file that is not there"),
        ("line", "a signature is checked with a public key, got the private one"),
    ):
        with pytest.raises(SettingError) as caught:
            require_signature_of(content, tmp_path / path, "x")
        assert message in str(caught.value)


def test_without_the_library_it_is_named(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onlygood._extras.find_spec", lambda _: None)
    for use in (make_keys, lambda: sign_content(b"", key), lambda: require_signature_of(b"", public(key), "x")):
        with pytest.raises(MissingExtraError) as caught:
            use()
        assert str(caught.value) == (
            "a signature needs cryptography, which is not installed: run pip install 'onlygood[sign]'"
        )
