"""The certificate by which OPC UA servers and clients know a station, and its private key."""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from onlygood._files import make_folder, write_atomically
from onlygood.errors import OutputError
from onlygood.station.outputs.opcua_trust import certificates_in, is_valid_now, thumbprint, times, why
from onlygood.station.station_settings import PKI_OWN, OpcUaOutput

CERTIFICATE, PRIVATE_KEY = "certificate.der", "private_key.pem"
# The controller's clock may be behind by a day: those that know no time zone are by hours.
_BEFORE, _YEARS = timedelta(days=1), 20
# What the security policies allow, in bits.
_LEAST_BITS, _MOST_BITS = 2048, 4096
_MOST_BYTES = 1 << 20
_log = logging.getLogger("onlygood.station")
# Two outputs of one station begin at once, and share what one of them makes.
_making = Lock()


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key, both fit for OPC UA and valid now.

    Attributes:
        path: of the certificate, to be trusted by the other side.
        uri: the application's, which is in the certificate.
    """

    path: Path
    certificate: x509.Certificate
    private_key: RSAPrivateKey
    uri: str

    @property
    def certificate_der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def private_key_der(self) -> bytes:
        """The private key in DER, without a password."""
        return self.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def identity(settings: OpcUaOutput, pki: Path) -> Identity:
    """The certificate and key that an output's settings name, or else those of the station, made where there are none.

    Args:
        settings: of the output.
        pki: the folder in which the station's own are, in `own`.

    Raises:
        OutputError: they cannot be read, do not belong together, or cannot be used for OPC UA, or not now.
        WriteError: those of the station cannot be written.
    """
    if settings.certificate_file:
        path, key_path = Path(settings.certificate_file), Path(settings.private_key_file)
        remedies = ("mend certificate_file", "mend private_key_file")
    else:
        path, key_path = pki / PKI_OWN / CERTIFICATE, pki / PKI_OWN / PRIVATE_KEY
        with _making:
            _make_missing(path, key_path, settings.name)
        remedies = (f"check it, or delete the folder {path.parent} to have a new one made",) * 2
    certificate = _certificate(path, settings.name, remedies[0])
    private_key = _private_key(key_path, settings.name, remedies[1])
    if private_key.public_key() != certificate.public_key():
        raise OutputError(
            f"the private key {key_path} of output {settings.name!r} must belong to the certificate {path}, "
            f"got another one: {remedies[1]}"
        )
    if not is_valid_now(certificate):
        renewal = "renew it" if settings.certificate_file else f"delete the folder {path.parent} to have a new one made"
        raise OutputError(
            f"the certificate {path} of output {settings.name!r} must be valid now, got one {times(certificate)} at "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by the clock of this computer: {renewal}, or set the clock right"
        )
    return Identity(path, certificate, private_key, _uri(certificate, path, settings.name))


def _certificate(path: Path, output: str, remedy: str) -> x509.Certificate:
    try:
        return certificates_in(path)[0]
    except OSError as error:
        raise OutputError(
            f"the certificate {path} of output {output!r} cannot be read {why(error)}: {remedy}"
        ) from error
    except ValueError as error:
        raise OutputError(
            f"the certificate {path} of output {output!r} must be one in DER or PEM, got something else: {remedy}"
        ) from error


def _private_key(path: Path, output: str, remedy: str) -> RSAPrivateKey:
    shown = f"the private key {path} of output {output!r}"
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
        load = load_pem_private_key if b"-----BEGIN" in content else load_der_private_key
        key = load(content, password=None)
    except OSError as error:
        raise OutputError(f"{shown} cannot be read {why(error)}: {remedy}") from error
    except TypeError as error:
        raise OutputError(
            f"{shown} must have no password, got one that has: write it without one, in a file that others cannot read"
        ) from error
    except Exception as error:  # the library has several for what it cannot take, and they hold no more than that
        raise OutputError(f"{shown} must be one of RSA in PEM or DER, got something else: {remedy}") from error
    if not isinstance(key, RSAPrivateKey) or not _LEAST_BITS <= key.key_size <= _MOST_BITS:
        got = f"{key.key_size} bits" if isinstance(key, RSAPrivateKey) else "another kind"
        raise OutputError(
            f"{shown} must be one of RSA with {_LEAST_BITS} to {_MOST_BITS} bits, got {got}: make another"
        )
    return key


def _uri(certificate: x509.Certificate, path: Path, output: str) -> str:
    """The application's URI, which the other side compares with what the station says it is."""
    found: list[str] = []
    with suppress(x509.ExtensionNotFound, ValueError):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not found:
        raise OutputError(
            f"the certificate {path} of output {output!r} must hold a URI in subjectAltName, as OPC UA requires, got "
            f"none: make it with one such as urn:line3:onlygood"
        )
    return found[0]


def _make_missing(path: Path, key_path: Path, output: str) -> None:
    """Make a key and a certificate where there are none; a kill between the two leaves the key, which is used."""
    if path.exists():
        return
    folder = make_folder(path.parent)
    if key_path.exists():
        key = _private_key(key_path, output, f"delete the folder {folder} to have a new one made")
    else:
        key = generate_private_key(65537, _LEAST_BITS)
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(key_path, content, is_private=True)
    certificate = self_signed(key)
    write_atomically(path, certificate.public_bytes(Encoding.DER))
    _log.info(
        "made the certificate of this station for OPC UA, %s, with the thumbprint %s: controllers have to trust it",
        path,
        thumbprint(certificate),
    )


def self_signed(key: RSAPrivateKey) -> x509.Certificate:
    """An application instance certificate for this computer, as client and as server (OPC 10000-6, 6.2.2)."""
    host = re.sub("[^A-Za-z0-9.-]+", "-", socket.gethostname()).strip("-.") or "station"
    now = datetime.now(UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"onlygood {host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "onlygood"),
        ]
    )
    names: list[x509.GeneralName] = [
        # Two stations on one computer are two applications.
        x509.UniformResourceIdentifier(f"urn:{host.lower()}:onlygood:{secrets.token_hex(4)}"),
        x509.DNSName(host),
        *map(x509.IPAddress, _addresses()),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=365.25 * _YEARS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=True,
                data_encipherment=True,
                key_agreement=False,
                key_cert_sign=True,  # required of one that is signed by itself
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _addresses() -> list[ipaddress.IPv4Address]:
    """The address by which others reach this computer, as far as it has a route to them; nothing is sent."""
    with suppress(OSError, ValueError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # of nobody: reserved for documentation
        return [ipaddress.IPv4Address(probe.getsockname()[0])]
    return []
