"""Verdicts to a web server: one signed POST with JSON for each inspection.

Headers and signature follow the Standard Webhooks specification, so that receivers can verify them with its libraries:
`webhook-id`, `webhook-timestamp`, and `webhook-signature`, which is `v1,` and the base64 of the HMAC-SHA256 of
`ID.TIMESTAMP.BODY`. Nothing from the environment is used: no proxies, no passwords of .netrc.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock, Timer
from typing import Any
from urllib.parse import unquote

import httpx

from onlygood._version import __version__
from onlygood.errors import OutputError, SettingError
from onlygood.station.outputs.output import deliver_in_turn
from onlygood.station.schemas import InspectionRecord
from onlygood.station.station_settings import WebhookOutput

# Before a key in base64; any other key is used as the bytes of its text.
KEY_PREFIX = "whsec_"
# Of an answer; the connection is given up where there is more.
_MOST_ANSWER_BYTES = 1 << 16


class Webhook:
    """POSTs each inspection, and has an answer of 200 to 299 before the next one is sent."""

    kind = "webhook"

    def __init__(self, settings: WebhookOutput, *, now_s: Callable[[], float] = time.time) -> None:
        """Nothing is connected before `deliver`.

        Args:
            settings: where to, with which key.
            now_s: the clock of the timestamps, in seconds since 1970.

        Raises:
            SettingError: an address that cannot be used, or a key that is no base64 though its prefix says so.
        """
        self.name = settings.name
        self._now_s, self._timeout_s, self._ca_file = now_s, settings.timeout_s, settings.ca_file
        self._key = _key_bytes(self.name, settings.key.get_secret_value())
        try:
            url = httpx.URL(settings.url)
        except httpx.InvalidURL:
            url = httpx.URL()
        if not url.host:
            # The address may hold a password: it is not shown.
            raise SettingError(
                f"the url of output {self.name!r} must be like https://host/path, got another one: mend it"
            )
        self._headers = {
            "content-type": "application/json",
            "user-agent": f"onlygood/{__version__}",
            "accept": "*/*",
        }
        if url.userinfo:
            self._headers["authorization"] = _basic(url)
        self._url = url.copy_with(userinfo=b"", fragment=None)
        # What may be said of the address: neither user nor path nor query, all of which may be secret.
        self._shown = f"{url.scheme}://{url.netloc.decode('ascii')}"
        self._transport: httpx.HTTPTransport | None = None
        self._socket: socket.socket | None = None
        self._deadline = _Deadline(self._timeout_s)

    def open(self) -> None:
        """Prepare the connection, which is made with the first inspection.

        Raises:
            OutputError: the file of certificate authorities cannot be read.
        """
        if self._transport is None:
            # The transport alone: a client would follow what the environment says, keep cookies, and log addresses.
            self._transport = httpx.HTTPTransport(
                verify=self._authorities(), trust_env=False, limits=httpx.Limits(max_connections=1)
            )

    def deliver(self, records: Sequence[InspectionRecord]) -> None:
        """Send one after another.

        Raises:
            OutputError: there was no answer in time, or another one than 2xx.
        """

        def hand_over(record: InspectionRecord) -> None:
            self.open()
            self._post(record)

        deliver_in_turn(records, hand_over)

    def check(self) -> None:
        """Nothing to do: a connection is made when it is needed."""

    def close(self) -> None:
        """Give up the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = self._socket = None

    def _post(self, record: InspectionRecord) -> None:
        assert self._transport is not None, "open was called"
        body = record.model_dump_json().encode()
        self._deadline = _Deadline(self._timeout_s)
        request = httpx.Request(
            "POST",
            self._url,
            content=body,
            headers=self._headers | signed_headers(body, message_id(record), int(self._now_s()), self._key),
            extensions={"timeout": httpx.Timeout(self._timeout_s).as_dict(), "trace": self._trace},
        )
        to = f"to inspection {record.id}"
        try:
            with self._deadline.running(self._socket):
                response = self._transport.handle_request(request)
                try:
                    self._finish(response)
                finally:
                    response.close()
        except httpx.TransportError as error:
            if isinstance(error, httpx.TimeoutException) or self._deadline.is_over:
                what, remedy = f"gave no answer {to} within {self._timeout_s:g} s", "raise timeout_s or look after it"
            elif isinstance(error, httpx.ConnectError):
                what, remedy = f"was not reached ({error})", "check the network and the server"
            else:
                what, remedy = f"closed the connection before an answer {to} ({error})", "look after it"
            raise self._failed(what, remedy) from error
        if not response.is_success:
            status, is_elsewhere = response.status_code, 300 <= response.status_code < 400
            raise self._failed(
                f"answered {status} {to}, where 200 to 299 is needed",
                "give the address that it points to as url" if is_elsewhere else "look into its log",
                retry_after_s=_retry_after_s(response.headers.get("retry-after"), self._now_s()),
            )

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by the library with each step: a connection that was made is kept, so that it can be ended."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            self._deadline.set_socket(self._socket)

    def _finish(self, response: httpx.Response) -> None:
        """Read the rest of an answer whose status is known, so that the connection can be used again."""
        num_bytes = 0
        assert isinstance(response.stream, httpx.SyncByteStream)
        try:
            for chunk in response.stream:
                num_bytes += len(chunk)
                if num_bytes > _MOST_ANSWER_BYTES:
                    break
        except httpx.TransportError:
            self.close()  # the status said what the server did with the inspection

    def _failed(self, what: str, remedy: str, *, retry_after_s: float | None = None) -> OutputError:
        sentence = f"output {self.name!r}: the server {self._shown} {what}: {remedy}"
        return OutputError(sentence, retry_after_s=retry_after_s)

    def _authorities(self) -> ssl.SSLContext | bool:
        if not self._ca_file:
            return True
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            raise OutputError(
                f"output {self.name!r} needs a PEM file of certificate authorities, got {self._ca_file} "
                f"({(error.strerror or str(error)).lower()}): mend ca_file"
            ) from error


class _Deadline:
    """Ends a connection when its time is over.

    The library limits each wait for bytes, so that a server which sends one now and then would hold the output forever.
    """

    def __init__(self, timeout_s: float) -> None:
        self.is_over = False
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._guard = Lock()

    @contextmanager
    def running(self, connection: socket.socket | None) -> Iterator[None]:
        """From now on, for the connection that there is and the one that is made."""
        self._socket = connection
        timer = Timer(self._timeout_s, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def set_socket(self, connection: socket.socket | None) -> None:
        with self._guard:
            self._socket = connection
            is_over = self.is_over
        if is_over:
            self._end()

    def _end(self) -> None:
        with self._guard:
            self.is_over = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


def message_id(record: InspectionRecord) -> str:
    """What identifies an inspection to its receiver, the same whenever it is sent: `inspection_ID_` and a digest.

    The digest is of what never changes about the inspection, so that two stations that post to one server, whose ids
    both begin with 1, are not taken for one.
    """
    fixed = "\n".join((str(record.id), record.at.isoformat(), record.model_sha256, record.source, record.name))
    return f"inspection_{record.id}_{hashlib.sha256(fixed.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def signed_headers(body: bytes, identifier: str, timestamp: int, key: bytes) -> dict[str, str]:
    """The headers that identify a message and, where there is a key, sign it.

    Args:
        body: of the message.
        identifier: of the message.
        timestamp: in whole seconds since 1970.
        key: of the HMAC; empty for no signature.
    """
    headers = {"webhook-id": identifier, "idempotency-key": identifier, "webhook-timestamp": str(timestamp)}
    if key:
        signed = hmac.new(key, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode('ascii')}"
    return headers


def _key_bytes(name: str, key: str) -> bytes:
    if not key.startswith(KEY_PREFIX):
        return key.encode()
    try:
        decoded = base64.b64decode(key.removeprefix(KEY_PREFIX), validate=True)
    except binascii.Error:
        decoded = b""
    if not decoded:
        raise SettingError(
            f"the key of output {name!r} must be base64 after {KEY_PREFIX}, got other characters: mend it"
        )
    return decoded


def _basic(url: httpx.URL) -> str:
    username, _, password = url.userinfo.partition(b":")
    pair = f"{unquote(username.decode('ascii'))}:{unquote(password.decode('ascii'))}"
    return f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"


def _retry_after_s(value: str | None, now_s: float) -> float | None:
    """What a Retry-After header asks for, in seconds; None where there is none that can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip())
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now_s, UTC)).total_seconds())
