"""Templates, and what every page has in common: its headers, its navigation, and how refusals are shown."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from onlygood._plurals import shorten
from onlygood._printable import printable
from onlygood._version import __version__
from onlygood.errors import OnlygoodError
from onlygood.report.formatting import format_count, format_p_value, visible_or_same
from onlygood.station.web.pages.files import static_files
from onlygood.station.web.problems import SENTENCE_CHARACTERS, headers_of, sentence_of, status_of
from onlygood.station.web.rights import GuardedRoute, Identity, identity_of

_log = logging.getLogger("onlygood.station")

# With less than this, browsers call the origin of what a page sends "null", and the station takes it for another site.
PAGE_HEADERS = {"Referrer-Policy": "same-origin"}

# The pages, in the order of the navigation; the first four are at the bottom of a phone, the others behind "More".
SECTIONS = (
    ("live", "Live", "/live"),
    ("teach", "Teach", "/teach"),
    ("history", "History", "/history"),
    ("review", "Review", "/review"),
    ("guarantee", "Guarantee", "/guarantee"),
    ("models", "Models", "/models"),
    ("health", "Health", "/health"),
    ("settings", "Settings", "/settings"),
)


# A point that ends a sentence, and no decimal point.
_BETWEEN_SENTENCES = re.compile(r"(?<=[.)]) (?=[A-Z])")


class Renderer:
    """Makes pages and parts of pages.

    Args:
        waiting: how many images wait in the review list, for the navigation.
        problems: what keeps the station from its work now, a sentence each, for the top of every page.
    """

    def __init__(self, *, waiting: Callable[[], int], problems: Callable[[], Sequence[str]]) -> None:
        self._waiting, self._problems = waiting, problems
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("onlygood.station.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=visible_or_same,
        )
        environment.globals.update(static=static_root(), version=__version__, sections=SECTIONS, query=query)
        environment.filters.update(
            count=format_count,
            p_value=format_p_value,
            score=format_score,
            share=format_share,
            bytes=format_bytes,
            duration=format_duration,
            iso=format_iso,
            utc=format_utc,
            digest=lambda sha256: sha256[:12],
            url=lambda text: quote(str(text), safe=""),
            visible=printable,
            first_sentence=first_sentence,
        )
        self._environment = environment

    def page(
        self,
        request: Request,
        template: str,
        *,
        person: Identity | None,
        section: str = "",
        status: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        """A whole page.

        Args:
            request: that asks for it.
            template: its name, without `.html.j2`.
            person: who asks; None where nobody is logged in.
            section: which of SECTIONS it belongs to.
            status: of the answer.
            **values: what the template needs.
        """
        waiting = 0 if person is None else self._waiting()
        html = self._environment.get_template(f"{template}.html.j2").render(
            person=person,
            section=section,
            waiting=waiting,
            path=request.url.path,
            problems=() if person is None else self._problems(),
            **values,
        )
        return HTMLResponse(html, status, PAGE_HEADERS)

    def part(
        self, template: str, *, person: Identity, headers: dict[str, str] | None = None, **values: Any
    ) -> HTMLResponse:
        """A part of a page, as htmx asks for it.

        Args:
            template: its name, without `.html.j2`.
            person: who asks.
            headers: for htmx, beside those of every answer.
            **values: what the template needs.
        """
        html = self._environment.get_template(f"parts/{template}.html.j2").render(person=person, **values)
        return HTMLResponse(html, 200, headers)

    def refusal(self, request: Request, error: Exception) -> Response:
        """The answer to a request that is refused: a notice where htmx asks, a page where a person does, else text."""
        status, sentence, headers = _refused(error)
        if request.headers.get("hx-request") is not None:
            headers |= {"HX-Retarget": "#notices", "HX-Reswap": "beforeend"}
            html = self._environment.get_template("parts/notice.html.j2").render(sentence=sentence, kind="problem")
            return HTMLResponse(html, status, headers)
        if "text/html" not in request.headers.get("accept", ""):
            return Response(sentence, status, headers, media_type="text/plain")
        html = self._environment.get_template("refused.html.j2").render(
            person=identity_of(request),
            section="",
            waiting=0,
            path=request.url.path,
            problems=(),
            status=status,
            sentence=sentence,
        )
        return HTMLResponse(html, status, headers)

    def route_class(self) -> type[APIRoute]:
        """Routes whose errors become sentences on the page."""
        refusal = self.refusal

        class PageRoute(GuardedRoute):
            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                handle = super().get_route_handler()

                async def handled(request: Request) -> Response:
                    try:
                        return await handle(request)
                    except (OnlygoodError, RequestValidationError, HTTPException) as error:
                        return refusal(request, error)

                return handled

        return PageRoute


def _refused(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, sentence and headers of the answer to a request that met an error."""
    if isinstance(error, OnlygoodError):
        status, sentence, headers = status_of(error), str(error), headers_of(error)
        if status in (500, 507):
            _log.error("%s", error)
    elif isinstance(error, HTTPException):
        status, sentence, headers = error.status_code, str(error.detail), dict(error.headers or {})
    else:
        assert isinstance(error, RequestValidationError)
        status, sentence, headers = 422, sentence_of(error), {}
    return status, shorten(sentence, SENTENCE_CHARACTERS), headers


@cache
def static_digest() -> str:
    """A short digest of all static files: it is part of their addresses, so browsers keep them until they change."""
    digest = hashlib.sha256()
    for path, (content, _) in sorted(static_files().items()):
        digest.update(f"{path} {len(content)} ".encode() + content)
    return digest.hexdigest()[:12]


def static_root() -> str:
    """The address below which static files are."""
    return f"/static/{static_digest()}"


def query(values: dict[str, Any], **changed: Any) -> str:
    """A query string of what is not empty: `?model=part&verdict=good`; empty where nothing is.

    Args:
        values: by name.
        **changed: other values for some of them.
    """
    kept = {name: value for name, value in (values | changed).items() if value not in (None, "")}
    return f"?{urlencode(kept)}" if kept else ""


def first_sentence(text: str) -> str:
    """The first of several sentences."""
    return _BETWEEN_SENTENCES.split(text, maxsplit=1)[0]


def format_score(score: float) -> str:
    """A score: signed, with two decimals, or two significant digits where it is small."""
    if score == 0:
        return "0"
    size = abs(score)
    decimals = 2 if size >= 0.1 else 1 - math.floor(math.log10(size))
    written = f"{score:+,.{decimals}f}" if decimals <= 6 else f"{score:+.1e}"
    return written.replace("-", "\N{MINUS SIGN}")


def format_share(share: float) -> str:
    """A share as percent: with one decimal, or two significant digits where it is small."""
    percent = 100 * share
    if percent == 0 or percent >= 0.95:
        return f"{percent:.1f}".removesuffix(".0") + "\N{NARROW NO-BREAK SPACE}%"
    return f"{percent:.2g}\N{NARROW NO-BREAK SPACE}%"


def format_bytes(size: int) -> str:
    """A size in bytes: in the unit in which it has one to three digits before the point."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}" if unit != "B" else f"{size} B"
        value /= 1000
    return f"{value:.3g} TB"


def format_duration(seconds: float) -> str:
    """For how long, in the two largest units: 3 d 4 h, 4 h 12 min, 12 min 3 s."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((place for place, (value, _) in enumerate(parts) if value), len(parts) - 1)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2] if value or unit == "s")


def format_iso(moment: datetime) -> str:
    """A moment as machines read it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def format_utc(moment: datetime) -> str:
    """A moment as a person reads it, in UTC; the page turns it into local time."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
