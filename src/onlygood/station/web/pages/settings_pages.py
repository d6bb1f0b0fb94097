"""What can be set: sources and tokens. Outputs and bounds are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import TypeAdapter, ValidationError

from onlygood.errors import NotFoundError, SettingError
from onlygood.station.serving.models import check_name
from onlygood.station.station_settings import (
    CameraSource,
    FolderSource,
    GenicamSource,
    Right,
    RtspSource,
    SourceSettings,
    StationSettings,
    Token,
    VideoSource,
)
from onlygood.station.web.live import BROWSER
from onlygood.station.web.pages.models_pages import to_page
from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of, needs
from onlygood.station.web.session_cookie import set_cookie
from onlygood.station.web.tokens import new_token

if TYPE_CHECKING:
    from onlygood.station.station import Station

_KINDS = (CameraSource, RtspSource, VideoSource, GenicamSource, FolderSource)
_SOURCES: TypeAdapter[SourceSettings] = TypeAdapter(SourceSettings)
# Fields of a form that are numbers or switches in the settings, or parts of `alarm`.
_SWITCHES = ("is_realtime", "repeats", "starts")
_RESERVED = (BROWSER, "page", "http")


def add_settings_pages(router: APIRouter, station: Station, renderer: Renderer) -> None:
    """Add the page and its actions."""

    @router.get("/settings")
    @needs("manage")
    def settings(request: Request) -> Response:
        """Sources, tokens, outputs and bounds."""
        found: StationSettings = station.settings
        return renderer.page(
            request,
            "settings",
            person=identity_of(request),
            section="settings",
            settings=found,
            statuses={each.name: each for each in station.source_statuses()},
            outputs={each.name: each for each in station.output_statuses()},
            models=station.store.models.names(),
        )

    @router.post("/settings/sources")
    @needs("manage")
    async def add_source(request: Request) -> Response:
        """Watch one more source."""
        form = await request.form()
        source = source_of({name: value for name, value in form.items() if isinstance(value, str)})

        def change(now: StationSettings) -> StationSettings:
            if any(each.name == source.name for each in now.sources):
                raise SettingError(
                    f"each source must have a name of its own, got {source.name!r} twice: choose another"
                )
            return now.model_copy(update={"sources": (*now.sources, source)})

        await in_thread(change)
        return to_page(request, "/settings")

    @router.post("/settings/sources/{name}/remove")
    @needs("manage")
    def remove_source(request: Request, name: str) -> Response:
        """Watch a source no longer. What it gave stays in the history."""
        station.line(name)  # an unknown name is refused

        def change(now: StationSettings) -> StationSettings:
            return now.model_copy(update={"sources": tuple(each for each in now.sources if each.name != name)})

        station.change_settings(change)
        return to_page(request, "/settings")

    @router.post("/settings/tokens")
    @needs("manage")
    def add_token(request: Request, name: Annotated[str, Form()], right: Annotated[Right, Form()]) -> Response:
        """Make a token, and show it this once."""
        secret, sha256 = new_token()
        token = Token(name=check_name(name.strip()), sha256=sha256, right=right)
        is_first = not station.settings.tokens

        def change(now: StationSettings) -> StationSettings:
            if any(each.name == token.name for each in now.tokens):
                raise SettingError(f"each token must have a name of its own, got {token.name!r} twice: choose another")
            if not now.tokens and right != "manage":
                raise SettingError(
                    f"the first token must have the right to manage, or nobody could make another, got {right}: choose "
                    "manage"
                )
            return now.model_copy(update={"tokens": (*now.tokens, token)})

        station.change_settings(change)
        answer = renderer.part("token", person=identity_of(request), token=token, secret=secret, is_first=is_first)
        if is_first:  # from now on everyone needs one, this person, too
            set_cookie(answer, request.scope, secret)
        return answer

    @router.post("/settings/tokens/{name}/remove")
    @needs("manage")
    def remove_token(request: Request, name: str) -> Response:
        """Take a token's right away."""

        def change(now: StationSettings) -> StationSettings:
            left = tuple(each for each in now.tokens if each.name != name)
            if len(left) == len(now.tokens):
                raise NotFoundError(f"a token must be one of this station's, got {name!r}: open the page again")
            if not any(each.right == "manage" for each in left):
                raise SettingError(
                    f"one token at least must have the right to manage, and {name} is the last one: make another first"
                )
            return now.model_copy(update={"tokens": left})

        station.change_settings(change)
        return to_page(request, "/settings")

    async def in_thread(change: Any) -> None:
        from anyio import to_thread

        await to_thread.run_sync(station.change_settings, change)


def source_of(fields: dict[str, str]) -> SourceSettings:
    """A source as a form describes it; what is left empty has its default.

    Raises:
        SettingError: a value that cannot be used.
    """
    values: dict[str, Any] = {name: value.strip() for name, value in fields.items() if value.strip()}
    for name in _SWITCHES:
        if name in values:
            values[name] = values[name] in ("on", "yes", "true")
    alarm = {name: values.pop(name) for name in ("m", "n") if name in values}
    if alarm:
        values["alarm"] = alarm
    if values.get("kind") == "camera" and str(values.get("device", "")).isdigit():
        values["device"] = int(values["device"])
    if values.get("name") in _RESERVED:
        raise SettingError(
            f"a source must not be named {' or '.join(_RESERVED)}, got {values['name']!r}: choose another"
        )
    try:
        return _SOURCES.validate_python(values)
    except ValidationError as error:
        raise SettingError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    """What is wrong with a source."""
    first = error.errors(include_url=False)[0]
    kind, said, given = first["type"], str(first["msg"]), str(first["input"])[:60]
    if kind.startswith("union_tag"):
        known = ", ".join(each.model_fields["kind"].default for each in _KINDS)
        return f"a source must be of one of the kinds {known}, got another one: choose one of them"
    place = ".".join(str(part) for part in first["loc"][1:])
    if kind == "missing":
        return f"{place} of a source must be given, got nothing: fill it in"
    if kind == "value_error":
        return f"{place} of a source cannot be used: {said.removeprefix('Value error, ')}"
    if kind == "string_pattern_mismatch":
        said = "be 1 to 64 letters, digits, dots, hyphens and underscores and begin with a letter or digit"
    return f"{place} of a source must {said.removeprefix('Input should ')}, got {given!r}: change it"
