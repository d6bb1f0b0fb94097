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


def type_of(described: dict[str, Any]) -> str:
    """The type of a field in a word or two."""
    if "$ref" in described:
        return f"`{described['$ref'].rpartition('/')[2]}`"
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
