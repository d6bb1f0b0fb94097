"""What a request is answered that is refused: a status, and the sentence that the command line would say."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onlygood import errors
from onlygood._plurals import shorten
from onlygood._printable import printable
from onlygood.errors import (
    BusyError,
    ImageTooLargeError,
    MissingExtraError,
    NotFoundError,
    OnlygoodError,
    StationError,
    StoreError,
    VerificationError,
    WriteError,
)
from onlygood.station.schemas import NAME_PATTERN, Problem
from onlygood.station.store.troubles import PASSING, DatabaseError, Trouble
from onlygood.validation import one_of

_log = logging.getLogger("onlygood.station")

# Of a value or a path that a sentence quotes.
QUOTED_CHARACTERS = 60
# Of a sentence: names of files are in some of them.
SENTENCE_CHARACTERS = 2000

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

# When to ask again while the database is away.
DATABASE_RETRY_S = 5

UNEXPECTED = "the station met an error that it does not know: its log has the details"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Refusal(HTTPException):
    """A request that is refused, with a sentence.

    Args:
        status: of HTTP.
        sentence: the subject, what is required, what was got, what to do.
        headers: of the answer.
        kind: the name of the error that the library would raise; empty where it knows no such thing.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None, *, kind: str = "") -> None:
        super().__init__(status, sentence, dict(headers or {}))
        self.kind = kind

    def response(self) -> Response:
        """The answer."""
        return problem(self.status_code, self.detail, self.headers, kind=self.kind)


def status_of(error: OnlygoodError) -> int:
    """The status of HTTP that goes with an error of the library."""
    if isinstance(error, BusyError):
        return 503
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, ImageTooLargeError):
        return 413
    if isinstance(error, DatabaseError) and error.trouble in PASSING:
        return 503
    if isinstance(error, StoreError | WriteError):
        return 507 if _has_no_room(error) else 500
    if isinstance(error, MissingExtraError):
        return 501
    if isinstance(error, VerificationError):
        return 500
    return 409 if isinstance(error, StationError) else 422


def headers_of(error: OnlygoodError) -> dict[str, str]:
    """The headers that go with an error of the library."""
    if isinstance(error, BusyError):
        return {"Retry-After": str(math.ceil(error.retry_after_s))}
    return {"Retry-After": str(DATABASE_RETRY_S)} if status_of(error) == 503 else {}


def kind_of(error: OnlygoodError) -> str:
    """The name of an error, or of what it is a kind of, that callers know from `onlygood.errors`."""
    known = vars(errors).values()
    return next(each for each in type(error).__mro__ if each in known).__name__


def problem(status: int, sentence: str, headers: Mapping[str, str] | None = None, *, kind: str = "") -> Response:
    """The answer to a request that is refused.

    Args:
        status: of HTTP.
        sentence: that says why.
        headers: of the answer.
        kind: the name of the library's error, where one is behind it.
    """
    body = Problem(detail=printable(shorten(sentence, SENTENCE_CHARACTERS)), error=kind)
    return Response(body.model_dump_json(), status, headers=headers, media_type="application/json")


def quoted(value: object) -> str:
    """A value that was sent, as a sentence quotes it: short, and with nothing unseen in it."""
    text = repr(value)
    return printable(shorten(text, QUOTED_CHARACTERS))


def sentence_of(error: RequestValidationError) -> str:
    """One sentence on the first value of a request that cannot be used."""
    found: Sequence[Mapping[str, Any]] = error.errors()
    first = found[0]
    place, *path = first["loc"]
    said = str(first["msg"])
    if first["type"] == "json_invalid":
        return f"the body must be JSON, got something else ({printable(said)}): send JSON with its Content-Type"
    if place == "body" and not path:
        return f"the body must be a JSON object with Content-Type application/json, got {quoted(first.get('input'))}"
    name = printable(shorten(".".join(str(each) for each in path), QUOTED_CHARACTERS))
    where = {"query": "in the query", "path": "in the path", "body": "in the body", "header": "in the headers"}
    subject = f"{name} {where.get(str(place), '')}".strip()
    if first["type"] == "missing":
        return f"{subject} must be given, and it is not: add it"
    if first["type"] == "extra_forbidden":
        return f"{subject} is not known: leave it out, or check how it is spelt"
    _, is_required, requirement = printable(said).partition(" should ")
    if dict(first.get("ctx") or {}).get("pattern") == NAME_PATTERN:
        requirement = "be 1 to 64 letters, digits, dots, hyphens and underscores that begin with a letter or digit"
    if not is_required:
        why = printable(said).removeprefix("Value error, ")
        return f"{subject} cannot be used, got {quoted(first.get('input'))}: {why}"
    return f"{subject} must {requirement}, got {quoted(first.get('input'))}"


def add_problem_handlers(app: FastAPI) -> None:
    """Let an app answer every error with a `Problem`."""

    @app.exception_handler(OnlygoodError)
    async def _known(_: Request, error: Exception) -> Response:
        assert isinstance(error, OnlygoodError)
        status = status_of(error)
        if status in (500, 507):
            _log.error("%s", printable(str(error)))
        return problem(status, str(error), headers_of(error), kind=kind_of(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(422, sentence_of(error), kind="SettingError")

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error, Refusal):
            return error.response()
        status = 422 if error.status_code == 400 else error.status_code  # FastAPI's for a body that is no text
        headers = dict(error.headers or {})
        if status == 405:
            headers["Allow"] = ", ".join(_allowed(request))
        return problem(status, _refusal_sentence(request, error), headers)


class UnexpectedErrors:
    """Answers what no one expected with a sentence that reveals nothing, and writes the rest into the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app."""
        has_started = False

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            _log.exception("%s %s failed", scope.get("method", scope["type"]), printable(scope.get("path", "")))
            # An answer that had begun is cut short, by which its reader sees that it is not whole.
            if not has_started and scope["type"] == "http":
                await problem(500, UNEXPECTED)(scope, receive, send)


def _refusal_sentence(request: Request, error: HTTPException) -> str:
    path = quoted(request.url.path)
    if error.status_code == 400:
        return "the body must be JSON in UTF-8, at most some hundred levels deep, got something else: send such"
    if error.status_code == 404:
        return f"there is nothing at {path}: /docs lists what there is"
    if error.status_code == 405:
        return f"{path} does not take {quoted(request.method)}: use {one_of(_allowed(request) or ['another'])}"
    return str(error.detail)


def _allowed(request: Request) -> list[str]:
    """All methods that a path takes: one path can have several routes, of which the framework names the first."""
    scope = dict(request.scope)
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _has_no_room(error: BaseException) -> bool:
    """Whether a full disk is behind an error."""
    if isinstance(error, DatabaseError):
        return error.trouble is Trouble.FULL
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _NO_ROOM:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
