"""How a station is asked from Python: requests, refusals as errors, and streams of events."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from onlygood import errors
from onlygood.errors import BusyError, OnlygoodError, SettingError, StationError
from onlygood.station.schemas import Event, Problem

Found = TypeVar("Found", bound=BaseModel)

# Whom to trust with https: certificates in a file or a folder, a context, or those known publicly, or anybody.
Verify: TypeAlias = str | os.PathLike[str] | ssl.SSLContext | bool


class Connection:
    """One station, asked over HTTP. Safe to share between threads.

    Args:
        url: of the station.
        token: that it knows; empty for none.
        timeout_s: for each answer.
        retry_for_s: for how long what is refused for want of room is sent again.
        verify: whom to trust.

    Raises:
        SettingError: an URL that is none, or certificates that cannot be read.
    """

    def __init__(self, url: str, *, token: str, timeout_s: float, retry_for_s: float, verify: Verify = True) -> None:
        if not url.startswith(("http://", "https://")):
            raise SettingError(f"the URL of a station must begin with http:// or https://, got {url!r}: add it")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url, self._retry_for_s = url.rstrip("/"), retry_for_s
        trusted = verify if isinstance(verify, bool | ssl.SSLContext) else _trusting(verify)
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, verify=trusted)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def one(self, kind: type[Found], path: str, method: str = "GET", **settings: Any) -> Found:
        """What is answered, of this kind.

        Args:
            kind: of the answer.
            path: of the URL.
            method: of HTTP.
            settings: of the request, as httpx takes them.

        Raises:
            OnlygoodError: the station refuses, or does not answer.
        """
        answer = self.send(method, path, **settings)
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise _not_understood(answer) from error

    def several(self, kind: type[Found], path: str, method: str = "GET", **settings: Any) -> list[Found]:
        """What is answered, a list of this kind; from the arguments of `one`.

        Raises:
            OnlygoodError: the station refuses, or does not answer.
        """
        answer = self.send(method, path, **settings)
        try:
            return TypeAdapter(list[kind]).validate_json(answer.content)  # type: ignore[valid-type]
        except ValidationError as error:
            raise _not_understood(answer) from error

    def send(self, method: str, path: str, **settings: Any) -> httpx.Response:
        """The answer to a request, which is sent again while the station has no room for it.

        Raises:
            OnlygoodError: the station refuses it.
        """
        ends_at = time.monotonic() + self._retry_for_s
        while True:
            try:
                answer = self._http.request(method, path, **settings)
            except httpx.TransportError as error:
                raise self.silent(error) from error
            if answer.is_success:
                return answer
            refused = _error_of(answer)
            if not isinstance(refused, BusyError) or time.monotonic() + refused.retry_after_s > ends_at:
                raise refused
            time.sleep(refused.retry_after_s)

    def silent(self, error: httpx.TransportError) -> StationError:
        """The error for a station that does not answer."""
        why = str(error) or type(error).__name__
        if is_distrusted(error):
            return StationError(
                f"the station at {self.url} must show a certificate that is trusted, and does not ({why}): give "
                "the PEM file of its authority, or of the certificate itself, as verify"
            )
        return StationError(f"the station at {self.url} must answer, and does not ({why}): check that it runs")

    def events(self, last: int | None) -> Iterator[tuple[int | None, Event]]:
        """A stream of events, each with the number from which it goes on; None for one that has none.

        Args:
            last: the number of the last one that is known.

        Raises:
            OnlygoodError: the station refuses.
            httpx.TransportError: the connection is lost.
        """
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
        with self._http.stream("GET", "/v1/events", headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _error_of(answer)
            number: int | None = None
            kind, data = "", ""
            for line in answer.iter_lines():
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "id":
                    number = int(value)
                elif field == "event":
                    kind = value
                elif field == "data":
                    data += value
                elif not line:
                    if data and kind != "lost":
                        yield number, Event.model_validate_json(data)
                    number, kind, data = None, "", ""


def is_distrusted(error: BaseException) -> bool:
    """Whether a connection failed because the certificate of the station is not to be trusted."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _trusting(certificates: str | os.PathLike[str]) -> ssl.SSLContext:
    """What trusts the certificates in a file, or in a folder as OpenSSL reads it, alone."""
    path = Path(certificates)
    try:
        return ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SettingError(
            f"verify must be a PEM file or a folder with certificates, got {path} ({reason}): check the path"
        ) from error


def _error_of(answer: httpx.Response) -> OnlygoodError:
    """The error that a refusal stands for."""
    try:
        said = Problem.model_validate_json(answer.content)
    except ValidationError:
        return _not_understood(answer)
    if answer.status_code == 503 and said.error in ("", BusyError.__name__):
        return BusyError(said.detail, retry_after_s=_retry_after_s(answer.headers))
    kind = getattr(errors, said.error, None)
    if isinstance(kind, type) and issubclass(kind, OnlygoodError) and kind is not BusyError:
        return kind(said.detail)
    return StationError(said.detail)


def _retry_after_s(headers: Mapping[str, str]) -> float:
    given = headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else 1.0


def _not_understood(answer: httpx.Response) -> StationError:
    return StationError(
        f"the answer to {answer.request.method} {answer.request.url} must be one of a station of this version, got "
        f"status {answer.status_code} with {answer.headers.get('content-type', 'no type')}: check the address, and "
        "that both are of one version of onlygood"
    )
