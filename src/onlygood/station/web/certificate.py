"""The certificate of a station that speaks HTTPS: read and checked, and read again when its files change."""

from __future__ import annotations

import logging
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from onlygood._printable import printable
from onlygood.errors import SettingError

PASSPHRASE_VARIABLE = "ONLYGOOD_KEY_PASSPHRASE"
LOOK_S = 2.0
# It is said that a certificate expires soon when this share of its lifetime is left, and less than so many days.
SOON_SHARE, SOON_DAYS = 0.1, 14

# Of OpenSSL, for a certificate that is not valid yet, and for one that is no longer.
_NOT_YET, _EXPIRED = 9, 10
# For a key that belongs to another certificate, of the same kind and of another.
_OF_ANOTHER = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")

_log = logging.getLogger("onlygood.station")


@dataclass(frozen=True)
class _Loaded:
    """A certificate with its key, and when it is valid as far as that is known: OpenSSL says no dates of others."""

    context: ssl.SSLContext
    begins: datetime | None
    ends: datetime | None
    trouble: int


class Certificate:
    """The certificate and the private key of a station. Safe to share between threads.

    Files that change while the station runs, as those of a certificate that was renewed, hold for all connections from
    then on; where they cannot be used, what was there before goes on.

    Args:
        path: of a PEM file with the certificate, those of its authorities behind it, and its key unless `key` is given.
        key: the path of a PEM file with its private key.
        passphrase: of the key, where that is encrypted.
        look_s: between two looks at its files.
        now: what the time is.

    Raises:
        SettingError: there are no such files, or they cannot be used.
    """

    def __init__(
        self,
        path: Path,
        key: Path | None = None,
        *,
        passphrase: str = "",
        look_s: float = LOOK_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path, self._key, self._passphrase = path, key or path, passphrase
        self._look_s, self._now = look_s, now
        self._tried = self._seen = self._state_of_files()
        self._loaded = self._load()
        self._broken = ""
        self._said: tuple[str, ...] = ()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        return self._loaded.context

    def problems(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong with it now."""
        return tuple(each for each in (self._problem_of_dates(), self._broken) if each)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While it lasts, its files are looked at, and what is wrong with it is said in the log."""
        ended = Event()

        def run() -> None:
            while not ended.wait(self._look_s):
                self.look()

        self._say_problems()
        thread = Thread(target=run, name="certificate", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def look(self) -> None:
        """Take up files that changed, once they are as they were at the look before, and say what is wrong."""
        found = self._state_of_files()
        is_settled, self._seen = found == self._seen, found
        if found != self._tried and is_settled:  # certificate and key are written one after the other
            self._tried = found
            try:
                self._loaded = self._load()
            except SettingError as error:
                self._broken = f"the new certificate cannot be used, and the one before goes on: {error}"
            else:
                self._broken = ""
                ends = self._loaded.ends
                until = "" if ends is None else f", and is valid until {_shown(ends)}"
                _log.info("the certificate %s was renewed%s", printable(str(self._path)), until)
        elif self._loaded.trouble:
            with suppress(SettingError):  # one that was not valid yet may be now
                self._loaded = self._load()
        self._say_problems()

    def _say_problems(self) -> None:
        problems = self.problems()
        for each in problems:
            if each not in self._said:
                _log.warning("%s", each)
        self._said = problems

    def _problem_of_dates(self) -> str:
        loaded, now, shown = self._loaded, self._now(), printable(str(self._path))
        refused = "browsers and programs refuse it"
        if loaded.trouble == _NOT_YET or (loaded.begins is not None and now < loaded.begins):
            return f"the certificate {shown} is not valid yet, and {refused}: see that this computer's clock is right"
        if loaded.trouble == _EXPIRED or (loaded.ends is not None and now >= loaded.ends):
            return f"the certificate {shown} has expired, and {refused}: renew it, which needs no restart"
        if loaded.begins is None or loaded.ends is None:
            return ""
        soon = min((loaded.ends - loaded.begins) * SOON_SHARE, timedelta(days=SOON_DAYS))
        if loaded.ends - now < soon:
            return f"the certificate {shown} expires on {_shown(loaded.ends)}: renew it, which needs no restart"
        return ""

    def _state_of_files(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What changes when a file does."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self._path, self._key):
            try:
                status = path.stat()
            except (OSError, ValueError):
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def _load(self) -> _Loaded:
        """What the files hold.

        Raises:
            SettingError: they cannot be used.
        """
        certificate, key = printable(str(self._path)), printable(str(self._key))
        content = _read(self._path, "certificate")
        if b"-----BEGIN CERTIFICATE-----" not in content:
            raise SettingError(
                f"the certificate must be a PEM file with 'BEGIN CERTIFICATE' in it, got {certificate} without: check "
                "that it is not the key, or convert it with 'openssl x509 -inform der'"
            )
        private = content if self._key == self._path else _read(self._key, "key of the certificate")
        if b"PRIVATE KEY-----" not in private:
            raise SettingError(
                f"the certificate {certificate} needs its private key, a PEM file with 'BEGIN PRIVATE KEY' in it, got "
                f"none in {key}: give its file with --key"
            )
        is_encrypted = b"ENCRYPTED" in private
        if is_encrypted and not self._passphrase:
            raise SettingError(
                f"the key {key} is encrypted and needs its passphrase, got none: write it into the environment "
                f"variable {PASSPHRASE_VARIABLE}, or decrypt the key with 'openssl pkey'"
            )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Never asked for at a terminal.
            context.load_cert_chain(self._path, self._key, password=lambda: self._passphrase)
        except (OSError, ValueError) as error:  # an SSLError is an OSError, a passphrase that is too long a ValueError
            reason = getattr(error, "reason", None) or str(error)
            if reason in _OF_ANOTHER:
                raise SettingError(
                    f"the key {key} must belong to the certificate {certificate}, and belongs to another: give the two "
                    "that were made together"
                ) from error
            if is_encrypted:
                raise SettingError(
                    f"the passphrase in {PASSPHRASE_VARIABLE} must be that of the key {key}, and is another: check it"
                ) from error
            raise SettingError(
                f"the certificate {certificate} and its key {key} must be ones that OpenSSL takes, and it does not "
                f"({printable(reason.replace('_', ' ').lower())}): make them again"
            ) from error
        return _Loaded(context, *_validity(context, content))


def _read(path: Path, what: str) -> bytes:
    shown = printable(str(path))
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
        content = path.read_bytes() if is_file else b""
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SettingError(
            f"the {what} must be a file that this user may read, got {shown} ({reason}): check the path and whose it is"
        ) from error
    if not is_file:
        raise SettingError(f"the {what} must be a file, got {shown}, which is none: give the path of a PEM file")
    return content


def _validity(context: ssl.SSLContext, certificates: bytes) -> tuple[datetime | None, datetime | None, int]:
    """From when and until when a certificate is valid, or what is wrong with its dates now.

    A client that trusts this certificate alone is shown it, in memory: nothing else in the standard library says when
    the certificate of a server is valid.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(cadata=certificates.decode("ascii", "replace"))
        asking = client.wrap_bio(to_client, to_server)
        answering = context.wrap_bio(to_server, to_client, server_side=True)
        for side in (asking, answering) * 2:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return None, None, error.verify_code if error.verify_code in (_NOT_YET, _EXPIRED) else 0
    except ssl.SSLError:
        return None, None, 0
    seen = asking.getpeercert() or {}
    begins, ends = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(seen[each])), UTC) if each in seen else None
        for each in ("notBefore", "notAfter")
    )
    return begins, ends, 0


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
