"""How the documentation site is built: `make docs`."""

from __future__ import annotations

import io
import re
import sys
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

COMMANDS = ("fit", "inspect", "evaluate", "calibrate", "explore", "info")


def write_command_line_reference(_app: Any) -> None:
    """`reference/_generated/cli.md`, from the parsers themselves."""
    from onlygood.cli import main

    folder = HERE / "reference" / "_generated"
    folder.mkdir(exist_ok=True)
    parts = ["<!-- written by docs/conf.py -->\n"]
    for command in ((), *((name,) for name in COMMANDS)):
        out, before = io.StringIO(), sys.stdout
        sys.stdout = out
        try:
            main([*command, "--help"])
        except SystemExit:
            pass
        finally:
            sys.stdout = before
        text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).rstrip()
        parts.append(f"## {' '.join(('onlygood', *command))}\n\n```text\n{text}\n```\n")
    path = folder / "cli.md"
    written = "\n".join(parts)
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
