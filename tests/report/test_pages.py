import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import onlygood
from onlygood import _extras as extras
from onlygood import report
from onlygood._files import check_writable
from onlygood.report import pages, report_paths, write_fit_report


def test_the_public_names_are_there() -> None:
    assert report.__all__ == sorted(report.__all__)
    for name in report.__all__:
        assert getattr(report, name).__doc__


@pytest.mark.parametrize(
    ("path", "rows"),
    [("r.html", "r.csv"), ("a/b.HTM", "a/b.csv"), ("lot.3.html", "lot.3.csv"), ("é ü.html", "é ü.csv")],
)
def test_rows_go_beside_the_page(path: str, rows: str) -> None:
    assert report_paths(path) == (Path(path), Path(rows))
    assert report_paths(Path(path)) == (Path(path), Path(rows))


@pytest.mark.parametrize("path", ["report", "report.csv", "report.pdf", "", ".", "folder/", ".html", "r.html.onnx"])
def test_a_page_must_be_named_as_one(path: str) -> None:
    message = (
        f"a report must have a name that ends in .html, got {path!r}: it is one page for any browser, and a CSV file "
        "of the same name is written beside it"
    )
    with pytest.raises(onlygood.SettingError, match=f"^{re.escape(message)}$"):
        report_paths(path)


@pytest.mark.parametrize(("module", "library"), [("jinja2", "Jinja2"), ("matplotlib", "matplotlib")])
def test_without_the_extra_the_error_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, model: onlygood.Model, tmp_path: Path, module: str, library: str
) -> None:
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else found(name))
    message = f"--report needs {library}, which is not installed: run pip install 'onlygood[report]'"
    with pytest.raises(onlygood.MissingExtraError, match=re.escape(message)):
        report_paths("r.html")
    with pytest.raises(onlygood.MissingExtraError, match=re.escape(message)):
        write_fit_report(tmp_path / "r.html", model, model_name="m")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused_when_asked_and_when_written(
    model: onlygood.Model, tmp_path: Path
) -> None:
    for path in report_paths(tmp_path / "none" / "r.html"):
        with pytest.raises(onlygood.WriteError, match="there is no folder"):
            check_writable(path)
    with pytest.raises(onlygood.WriteError, match=r"r\.csv cannot be written"):
        write_fit_report(tmp_path / "none" / "r.html", model, model_name="m")
    assert list(tmp_path.iterdir()) == []


def test_templates_are_part_of_the_package_and_refuse_what_is_not_defined() -> None:
    import jinja2

    names = {entry.name for entry in resources.files("onlygood.report").joinpath("templates").iterdir()}
    assert {"page.html.j2", "evaluation.html.j2", "inspection.html.j2", "fit.html.j2", "style.css.j2"} <= names
    assert {"exploration.html.j2", "exploration.css.j2", "exploration.js"} <= names
    with pytest.raises(jinja2.UndefinedError, match="'guarantee' is undefined"):
        pages.render_page("fit", model_name="m", written_at=None, scores=[], rates=[], images=3)


@pytest.mark.parametrize("name", ["evaluation", "inspection", "fit", "exploration", "pieces", "page"])
def test_templates_mark_nothing_as_safe_but_charts_and_our_own_script(name: str) -> None:
    text = resources.files("onlygood.report").joinpath("templates", f"{name}.html.j2").read_text(encoding="utf-8")
    assert re.findall(r"\{\{[^}]*\|\s*safe[^}]*\}\}", text) == {
        "pieces": ["{{ svg | safe }}"],
        "exploration": ["{{ script | safe }}"],
    }.get(name, [])
    assert "autoescape" not in text


def test_the_style_has_rules_for_print_phones_and_focus() -> None:
    style = resources.files("onlygood.report").joinpath("templates", "style.css.j2").read_text(encoding="utf-8")
    assert "@media print" in style and "@media screen and (max-width" in style and ":focus-visible" in style
    colours: Any = re.findall(r"#[0-9a-fA-F]{3,6}\b", style)
    assert colours == [], "colours come from the palette, whose contrast is tested"


def test_importing_the_package_imports_neither_library() -> None:
    script = """
import sys, onlygood.report
print([name for name in ("jinja2", "matplotlib", "sklearn", "scipy") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "[]"
