"""Signatures of model files: that the holder of a key made exactly these bytes.

The signature is the last entry of the file's metadata, and the last bytes of the file: an ONNX file with another entry
behind it is an ONNX file. It is of all bytes before it, as they are, so nothing that a reader would overlook can
be changed, added or left out. `content_sha256`, which anyone can compute, does not cover it.

Ed25519, by the library `cryptography`, with keys in PEM files.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from onlygood._extras import need_extra
from onlygood.errors import ModelFileError, SettingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_KEY = "onlygood-signature"
# What is signed begins with this, so that the signature of a model file is no signature of anything else.
_CONTEXT = b"onlygood model file, signature 1\0"
_FINGERPRINT_LETTERS = 16
_SIGNATURE_BYTES = 64
# A key file has some hundred bytes.
_MOST_KEY_BYTES = 10_000


def fingerprint_in(content: bytes) -> str | None:
    """The fingerprint of the key that a file's signature says it is by; None for a file that is not signed.

    Args:
        content: of the file. The signature is not verified.
    """
    found = _split(content)
    return None if found is None else found[1]


def sign_content(content: bytes, key: str | os.PathLike[str]) -> bytes:
    """A model file's content with a signature, in place of the one that it may have.

    Args:
        content: of the file.
        key: path of a private key.

    Raises:
        SettingError: the key cannot be used.
        MissingExtraError: no `cryptography`.
    """
    private = _read_private_key(key)
    found = _split(content)
    bare = content if found is None else found[0]
    return bare + _entry(_fingerprint(private.public_key()), private.sign(_CONTEXT + bare))


def require_signature_of(content: bytes, key: str | os.PathLike[str], name: str) -> None:
    """Refuse a model file that is not signed, or not by this key, or was changed since.

    Args:
        content: of the file.
        key: path of a public key.
        name: what messages call the model.

    Raises:
        ModelFileError: with which of these it is.
        SettingError: the key cannot be used.
        MissingExtraError: no `cryptography`.
    """
    public = read_public_key(key)
    from cryptography.exceptions import InvalidSignature

    found = _split(content)
    if found is None:
        raise ModelFileError(
            f"the model {name} must be signed by the key {os.fspath(key)}, got one that is not signed: sign it with "
            "`onlygood sign`, if you know where it comes from"
        )
    bare, fingerprint, signature = found
    if fingerprint != _fingerprint(public):
        raise ModelFileError(
            f"the model {name} must be signed by the key {os.fspath(key)} ({_fingerprint(public)}), got a signature by "
            f"another ({fingerprint}): do not use it unless you trust that key, and give that key then"
        )
    try:
        public.verify(signature, _CONTEXT + bare)
    except InvalidSignature as error:
        raise ModelFileError(
            f"the model {name} must be as it was signed, got a file that was changed since: do not use it, and copy it "
            "again from where it was signed"
        ) from error


def make_keys() -> tuple[bytes, bytes]:
    """A new private key and its public key, each as the content of a PEM file.

    Raises:
        MissingExtraError: no `cryptography`.
    """
    _need_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def read_public_key(path: str | os.PathLike[str]) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises:
        SettingError: it cannot be read, or is no public key for Ed25519.
        MissingExtraError: no `cryptography`.
    """
    _need_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _read_key(path)
    if b"PRIVATE KEY" in text:
        raise SettingError(
            f"a signature is checked with a public key, got the private one {os.fspath(path)}: give the file .pub that "
            "was written beside it, and keep the private one where models are signed alone"
        )
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "a public key", f"a key of another kind ({type(key).__name__})")
    return key


def _read_private_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    _need_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _read_key(path)
    if b"PUBLIC KEY" in text:
        raise SettingError(
            f"a model is signed with a private key, got the public one {os.fspath(path)}: give the file that `onlygood "
            "sign --new-key` wrote beside it"
        )
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError as error:  # it has a password
        raise _no_key(path, "a private key without a password", "one with a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "a private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "a private key", f"a key of another kind ({type(key).__name__})")
    return key


def _read_key(path: str | os.PathLike[str]) -> bytes:
    file = Path(path)
    try:
        is_there, is_file = file.exists(), file.is_file()
        if is_file:
            with file.open("rb") as opened:
                return opened.read(_MOST_KEY_BYTES)
    except (OSError, ValueError) as error:
        raise _no_key(path, "a key", str(getattr(error, "strerror", None) or error).lower()) from error
    raise _no_key(path, "a key", "a folder or a device" if is_there else "a file that is not there")


def _no_key(path: str | os.PathLike[str], wanted: str, got: str = "something else") -> SettingError:
    return SettingError(
        f"the key {os.fspath(path)} must be a PEM file with {wanted} for Ed25519, got {got}: make one with `onlygood "
        "sign --new-key`"
    )


def _need_library() -> None:
    need_extra("cryptography", module="cryptography", extra="sign", purpose="a signature")


def _fingerprint(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:_FINGERPRINT_LETTERS]


def _entry(fingerprint: str, signature: bytes) -> bytes:
    """The bytes of the metadata entry with a signature, to stand behind a model."""
    holder = onnx.ModelProto()
    entry = holder.metadata_props.add()
    entry.key = SIGNATURE_KEY
    entry.value = f"ed25519:{fingerprint}:{base64.b64encode(signature).decode()}"
    content: bytes = holder.SerializeToString(deterministic=True)
    return content


# All entries have one length.
_ENTRY_BYTES = len(_entry("0" * _FINGERPRINT_LETTERS, bytes(_SIGNATURE_BYTES)))


def _split(content: bytes) -> tuple[bytes, str, bytes] | None:
    """What was signed, the key's fingerprint and the signature; None for a file that does not end with one."""
    bare, end = content[:-_ENTRY_BYTES], content[-_ENTRY_BYTES:]
    value = end[-(len("ed25519:") + _FINGERPRINT_LETTERS + 1 + len(base64.b64encode(bytes(_SIGNATURE_BYTES)))) :]
    try:
        kind, fingerprint, encoded = value.decode("ascii").split(":")
        signature = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    is_one = kind == "ed25519" and len(signature) == _SIGNATURE_BYTES
    return (bare, fingerprint, signature) if is_one and _entry(fingerprint, signature) == end else None
