"""Which certificates of others a station trusts for OPC UA: those that lie in its folder `pki/trusted`.

A certificate that is not there is put into `pki/rejected`, from where a person moves it. It is compared as a whole:
that of an authority in `pki/trusted` speaks for no other.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from asyncua.crypto import uacrypto
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from onlygood._files import make_folder, write_atomically
from onlygood.station.station_settings import PKI_REJECTED, PKI_TRUSTED

# Whoever reaches the station's server can bring certificates: the oldest go first.
MAX_REJECTED = 100
_SUFFIXES = (".der", ".cer", ".crt", ".pem")
# Of a file that is looked at, in bytes: a certificate has one or two thousand.
_MOST_BYTES = 1 << 20
_PEM = b"-----BEGIN CERTIFICATE-----"


class Trust:
    """The folders of certificates that are trusted, and that were refused. Any thread may use it.

    Args:
        folder: `pki` in the station's data folder; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.trusted, self.rejected = folder / PKI_TRUSTED, folder / PKI_REJECTED

    def make_folders(self) -> None:
        """Have both, so that a person finds where certificates belong.

        Raises:
            WriteError: they cannot be made.
        """
        for folder in (self.trusted, self.rejected):
            make_folder(folder)

    def refusal(self, certificate: x509.Certificate, *, whose: str) -> str | None:
        """Why a certificate is not trusted, as the end of a sentence; None where it is.

        Args:
            certificate: which goes into the folder of refused ones where it is not trusted.
            whose: what it can be compared with, such as `the controller`.

        Raises:
            WriteError: it cannot be kept there.
        """
        self.make_folders()
        unread = self._looked_for(certificate)
        if unread is None:
            return None
        path = self.rejected / file_name(certificate)
        if not path.exists():
            write_atomically(path, certificate.public_bytes(Encoding.DER))
            self._let_go()
        end = f", where {' and '.join(unread)}" if unread else ""
        return (
            f"has a certificate that is not trusted, which is kept as {path}: compare its thumbprint "
            f"{thumbprint(certificate)} with that in {whose}, and move it to {self.trusted}{end}"
        )

    def _looked_for(self, certificate: x509.Certificate) -> list[str] | None:
        """None where it is among the trusted ones; else which files there tell nothing, and why."""
        wanted, unread = certificate.public_bytes(Encoding.DER), []
        try:
            paths = sorted(self.trusted.iterdir())
        except OSError as error:
            return [f"nothing can be read {why(error)}"]
        for path in paths:
            if path.suffix.lower() not in _SUFFIXES:
                continue
            try:
                if wanted in [each.public_bytes(Encoding.DER) for each in certificates_in(path)]:
                    return None
            except OSError as error:
                unread.append(f"{path.name} cannot be read {why(error)}")
            except ValueError:
                unread.append(f"{path.name} is no certificate in DER or PEM")
        return unread

    def _let_go(self) -> None:
        """Keep the newest ones alone."""
        with suppress(OSError):
            found = sorted(self.rejected.glob("*.der"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in found[MAX_REJECTED:]:
                path.unlink(missing_ok=True)


def certificates_in(path: Path) -> list[x509.Certificate]:
    """The certificates in a file, one in DER, or one or more in PEM.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no certificate.
    """
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES)
    if _PEM in content:
        return x509.load_pem_x509_certificates(content)
    return [x509.load_der_x509_certificate(content)]


def sent_certificate(content: bytes | None) -> x509.Certificate | None:
    """The certificate that the other side sent, the first of several; None where there is none that can be read."""
    try:
        certificate = uacrypto.x509_from_der(content)  # type: ignore[no-untyped-call]
    except (ValueError, IndexError):
        return None
    return certificate if isinstance(certificate, x509.Certificate) else None


def thumbprint(certificate: x509.Certificate) -> str:
    """The SHA-1 by which OPC UA products name a certificate."""
    return hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest().upper()


def file_name(certificate: x509.Certificate) -> str:
    """What the file of a certificate is called: its common name, as far as letters allow, and its thumbprint."""
    named = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    name = re.sub("[^A-Za-z0-9.]+", "-", str(named[0].value) if named else "").strip("-.")[:60]
    return f"{name or 'certificate'}-{thumbprint(certificate)}.der"


def times(certificate: x509.Certificate) -> str:
    """From when to when it is valid, for a person."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def is_valid_now(certificate: x509.Certificate) -> bool:
    """Whether it is neither too early nor too late for it by the clock of this computer."""
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def why(error: OSError) -> str:
    """What the system says of an error, in brackets of a sentence."""
    return f"({(error.strerror or str(error)).lower()})"
