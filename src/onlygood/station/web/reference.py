"""The description of all routes as a page, made by the station itself: no viewer from elsewhere is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from onlygood.station.web.pages.rendering import Renderer
from onlygood.station.web.rights import identity_of

PATH = "/docs"

# What FastAPI says of an answer of which nobody said anything.
_DONE = {"Successful Response": "it is done"}


@dataclass(frozen=True)
class Input:
    """What a request says: in its path, its query, its headers or its body."""

    name: str
    place: str
    kind: str
    is_required: bool
    description: str


@dataclass(frozen=True)
class Answer:
    """What an operation can answer."""

    status: str
    kind: str
    description: str


class Operation:
    """One operation of an OpenAPI document.

    Args:
        path: of its URL.
        method: of HTTP.
        said: of it in the document.
        schemas: of the document, by their names.
    """

    def __init__(self, path: str, method: str, said: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
        self.path, self.method, self._said, self._schemas = path, method.upper(), said, schemas
        self.id, self.summary = str(said["operationId"]), str(said.get("summary", ""))
        self.description = str(said.get("description", "")).replace("\n", " ")
        self.right, self.tag = said.get("x-right"), str(said.get("tags", ["other"])[0])

    @cached_property
    def inputs(self) -> list[Input]:
        """What a request says, path first and body last."""
        found = [
            Input(
                each["name"],
                each["in"],
                kind_of(each["schema"]),
                bool(each.get("required")),
                each.get("description", each["schema"].get("description", "")),
            )
            for each in self._said.get("parameters", [])
        ]
        for media_type, content in self._said.get("requestBody", {}).get("content", {}).items():
            schema = content["schema"]
            fields = self._schemas.get(_name(schema), {})
            if not fields:
                found.append(Input("the body", media_type, kind_of(schema), True, ""))
            needed = fields.get("required", [])
            for name, field in fields.get("properties", {}).items():
                found.append(Input(name, "JSON", kind_of(field), name in needed, field.get("description", "")))
        return found

    @cached_property
    def answers(self) -> list[Answer]:
        """What it can answer, by status."""
        return [
            Answer(status, _answer_kind(said.get("content", {})), _DONE.get(said["description"], said["description"]))
            for status, said in sorted(self._said["responses"].items())
        ]


def operations_of(document: Mapping[str, Any]) -> list[tuple[str, list[Operation]]]:
    """The operations of an OpenAPI document by their topics, in its order."""
    schemas = document.get("components", {}).get("schemas", {})
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            operation = Operation(path, method, said, schemas)
            found.setdefault(operation.tag, []).append(operation)
    return list(found.items())


def kind_of(schema: Mapping[str, Any]) -> str:
    """What a value of a schema is, in a few words."""
    if name := _name(schema):
        return name
    if "enum" in schema or "const" in schema:
        return " or ".join(str(each) for each in schema.get("enum", [schema.get("const")]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(kind_of(each) for each in schema[several] if each.get("type") != "null")
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        places = schema.get("prefixItems", [])
        return f"list of {len(places)} {kind_of(places[0])}s" if places else f"list of {kind_of(schema['items'])}"
    bounds = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return " ".join([{"binary": "file", "date-time": "moment"}.get(schema.get("format", ""), kind), *bounds])


def reference_router() -> APIRouter:
    """The page."""
    renderer = Renderer(waiting=lambda: 0, problems=tuple)
    router = APIRouter(include_in_schema=False)

    @router.get(PATH)
    def reference(request: Request) -> Response:
        """All routes."""
        groups = operations_of(request.app.openapi())
        return renderer.page(request, "reference", person=identity_of(request), groups=groups)

    return router


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _answer_kind(content: Mapping[str, Any]) -> str:
    """What an answer is: its schema where it is JSON, else its media types."""
    if "application/json" in content:
        return kind_of(content["application/json"].get("schema", {}))
    return ", ".join(content)
