"""Certificates of OPC UA applications, those that can be used and others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

URI = "urn:test:application"


@dataclass(frozen=True)
class Made:
    """A certificate and its key, with a file each."""

    path: Path
    key_path: Path
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """To make one takes long: tests share a few."""
    return rsa.generate_private_key(65537, bits)


@cache
def elliptic_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make(
    folder: Path,
    name: str,
    *,
    key: Any = None,
    days: tuple[float, float] = (-1, 1),
    uri: str | None = URI,
    password: bytes | None = None,
) -> Made:
    """A certificate that is signed by itself.

    Args:
        folder: for its two files.
        name: the common name; the files have it without what is no letter.
        key: its own; one that others have as well unless given.
        days: from when to when it is valid, from now on.
        uri: of the application; None for none.
        password: of the key's file.
    """
    key = rsa_key() if key is None else key
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )
    if uri is not None:
        named = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(named, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    stem = "".join(each for each in name if each.isalnum())
    path, key_path = folder / f"{stem}.der", folder / f"{stem}_key.{'pem' if password else 'der'}"
    path.write_bytes(certificate.public_bytes(Encoding.DER))
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    encoding = Encoding.PEM if password else Encoding.DER
    key_path.write_bytes(key.private_bytes(encoding, PrivateFormat.PKCS8, encryption))
    return Made(path, key_path, certificate)
