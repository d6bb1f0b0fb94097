"""How the documentation site is built: `make docs`."""

from __future__ import annotations

import io
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

project = "onlygood"
author = "the onlygood authors"
copyright = "2026, the onlygood authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
# Equations are MathML, which browsers draw by themselves: MathJax would come from a server, and pages are read offline.
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "onlygood"
html_static_path = ["_static"]
html_css_files = ["equations.css"]
templates_path: list[str] = []
exclude_patterns = ["_build", "reference/_generated"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
add_module_names = False
napoleon_google_docstring = True
# A public name is documented where it is exported; types of other libraries have no page here.
nitpicky = False
copybutton_prompt_text = "$ "

COMMANDS = (
    *("audit", "roi", "fit", "inspect", "evaluate", "compare", "calibrate", "update", "explore", "drift", "diff"),
    *("station", "watch", "methods", "info", "sign", "completion"),
)
GENERATED = HERE / "reference" / "_generated"


def write_command_line_reference(_app: Any) -> None:
    """`reference/_generated/cli.md`, from the parsers themselves."""
    import onlygood

    parts = [
        f"## {' '.join(('onlygood', *line))}\n\n{help_of(*line)}" for line in ((), *((name,) for name in COMMANDS))
    ]
    for method in onlygood.methods():
        own = help_of("fit", "--method", method.name).partition(f"method {method.name}:\n")[2]
        own = own.partition("\n\n`onlygood methods`")[0].removesuffix("```")
        parts.append(f"### Options of `--method {method.name}`\n\n```text\n{textwrap.dedent(own).strip()}\n```\n")
    own = help_of("fit", "--golden").partition("augmentation, with --augment or --golden:\n")[2]
    own = own.partition("\n\n`onlygood methods`")[0]
    parts.append(f"### Options of augmentation\n\n```text\n{textwrap.dedent(own).strip()}\n```\n")
    write_generated("cli.md", parts)


def help_of(*line: str) -> str:
    """What `onlygood ... --help` prints, as a block."""
    from onlygood.cli import main

    out, before = io.StringIO(), sys.stdout
    sys.stdout = out
    try:
        main([*line, "--help-all" if line[:1] == ("fit",) else "--help"])
    except SystemExit:
        pass
    finally:
        sys.stdout = before
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).rstrip()
    return f"```text\n{text}\n```\n"


def write_schema(_app: Any) -> None:
    """`reference/_generated/metadata.md` and `metadata-schema.json`, from the model of the description."""
    from onlygood.metadata import metadata_schema

    schema = metadata_schema()
    parts = []
    for name, part in (("The description", schema), *schema["$defs"].items()):
        rows = ["| field | type | |", "|---|---|---|"]
        for field, described in part.get("properties", {}).items():
            said = [described["description"]] if "description" in described else []
            said += [] if field in part.get("required", ()) else ["may be missing"]
            rows.append(f"| `{field}` | {type_of(described)} | {'; '.join(said)} |")
        parts.append(f"### {name}\n\n" + "\n".join(rows) + "\n")
    write_generated("metadata.md", parts)
    write_generated("metadata-schema.json", [json.dumps(schema, indent=2)])


def write_station_settings(_app: Any) -> None:
    """`reference/_generated/station-settings.md`, from the models of `station.json`."""
    from typing import get_args

    from pydantic import BaseModel
    from pydantic_core import to_json

    from onlygood.station import station_settings as settings

    sources, outputs = (get_args(get_args(each)[0]) for each in (settings.SourceSettings, settings.OutputSettings))
    schemas: dict[type[BaseModel], dict[str, Any]] = {}

    def table(model: type[BaseModel], *, but_those_of: type[BaseModel] | None = None) -> str:
        left_out = {"kind", *(() if but_those_of is None else but_those_of.model_fields)}
        schema = schemas.setdefault(model, model.model_json_schema())
        rows = ["| setting | type | default | |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            if name in left_out:
                continue
            described = schema["properties"][name]
            value = field.get_default(call_default_factory=True)
            default = "must be given" if field.is_required() else f"`{to_json(value).decode()}`"
            if isinstance(value, BaseModel) and model is settings.StationSettings:
                default = "as below"
            said = [each for each in (described.get("description", ""), bounds_of(described)) if each]
            rows.append(f"| `{name}` | {type_of(described)} | {default} | {'; '.join(said)} |")
        return "\n".join(rows) + "\n" if len(rows) > 2 else ""

    def titled(title: str, model: type[BaseModel], body: str) -> str:
        said = " ".join((model.__doc__ or "").split())
        return f"{title}\n\n{said}\n\n{body}"

    whole = settings.StationSettings
    parts = [titled("## The whole file", whole, table(whole))]
    for title, model in (("limits", settings.Limits), ("retention", settings.Retention)):
        parts.append(titled(f"## `{title}`", model, table(model)))
    for title, models in (("sources", sources), ("outputs", outputs)):
        base = models[0].__mro__[1]
        kinds = [f"`{each.model_fields['kind'].default}`" for each in models]
        parts.append(
            f"## `{title}`\n\nEach has a `kind`, one of {', '.join(kinds[:-1])} and {kinds[-1]}, and these settings:\n"
            f"\n{table(base)}"
        )
        for model in models:
            kind = model.model_fields["kind"].default
            parts.append(titled(f"### `{kind}`", model, table(model, but_those_of=base)))
        if title == "sources":
            parts.append(titled("### `alarm` of a source", settings.Alarm, table(settings.Alarm)))
    for title, model in (("tokens", settings.Token), ("trigger_broker", settings.Mqtt)):
        parts.append(titled(f"## `{title}`", model, table(model)))
    write_generated("station-settings.md", parts)


def bounds_of(described: dict[str, Any]) -> str:
    """The least and the largest value of a number, in words."""
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{said} {described[name]:,}" for name, said in words.items() if name in described)


def type_of(described: dict[str, Any]) -> str:
    """The type of a field in a word or two."""
    if "$ref" in described:
        return f"`{described['$ref'].rpartition('/')[2]}`"
    if described.get("writeOnly"):
        return "secret"
    if "oneOf" in described:
        return "object with a `kind`"
    if "anyOf" in described:
        return " or ".join(type_of(each) for each in described["anyOf"] if each.get("type") != "null")
    if "enum" in described or "const" in described:
        return ", ".join(f"`{each}`" for each in described.get("enum", [described.get("const")]))
    if described.get("type") == "array":
        inner = described.get("items") or (described.get("prefixItems") or [{}])[0]
        return f"array of {type_of(inner)}"
    return str(described.get("type", "any"))


def write_generated(name: str, parts: list[str]) -> None:
    """A generated file, unless it is as it is already."""
    GENERATED.mkdir(exist_ok=True)
    path = GENERATED / name
    head = [] if name.endswith(".json") else ["<!-- written by docs/conf.py -->\n"]
    written = "\n".join([*head, *parts])
    if not path.exists() or path.read_text(encoding="utf-8") != written:
        path.write_text(written, encoding="utf-8")


def write_inline_equation(writer: Any, node: Any) -> None:
    """An equation in a line."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def write_equation(writer: Any, node: Any) -> None:
    """An equation of its own; of several lines, aligned at their `&`."""
    text = node.astext()
    is_aligned = "\\\\" in text and "\\begin" not in text
    text = f"\\begin{{split}}{text}\\end{{split}}" if is_aligned else text
    writer.body.append(f'<div class="equation">{convert(text, display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (write_inline_equation, None), (write_equation, None))
    app.connect("builder-inited", write_command_line_reference)
    app.connect("builder-inited", write_schema)
    app.connect("builder-inited", write_station_settings)
