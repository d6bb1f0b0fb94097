"""Scripts, styles and icons: a few files in memory, under an address that changes when they do."""

from __future__ import annotations

from importlib import resources
from typing import Any

from onlygood.heatmap import OCTAVES, scale_table
from onlygood.report import palette

_MEDIA_TYPES = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
# Softer and stronger forms of the colours of reports, for the surfaces of a station's pages.
_LIGHT = {
    "on": "#ffffff",
    "good-wash": "#e3eef8",
    "anomalous-wash": "#fbeae0",
    "rule-strong": "#9aa5b3",
    "stage": "#20262e",
    "shadow": "rgb(27 36 48 / .14)",
}
_DARK = {
    "on": "#12161c",
    "good-wash": "#16293b",
    "anomalous-wash": "#3a2417",
    "rule-strong": "#66727f",
    "stage": "#07090c",
    "shadow": "rgb(0 0 0 / .5)",
}


def static_files() -> dict[str, tuple[bytes, str]]:
    """Content and media type of every static file, by its path."""
    files: dict[str, tuple[bytes, str]] = {}

    def add(folder: Any, prefix: str) -> None:
        for each in folder.iterdir():
            if each.is_dir():
                add(each, f"{prefix}{each.name}/")
            elif (media_type := _MEDIA_TYPES.get(each.name.rpartition(".")[2])) is not None:
                files[prefix + each.name] = (each.read_bytes(), media_type)

    add(resources.files("onlygood.station.web") / "static", "")
    files["colours.css"] = (_colours().encode(), _MEDIA_TYPES["css"])
    files["map_scale.js"] = (_map_scale().encode(), _MEDIA_TYPES["js"])
    return files


def _colours() -> str:
    """The colours of reports and more, as custom properties."""
    light = palette.custom_properties(palette.LIGHT | _LIGHT)
    dark = palette.custom_properties(palette.DARK | _DARK)
    return (
        f":root {{ {light} color-scheme: light; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} color-scheme: dark; }} }}\n"
    )


def _map_scale() -> str:
    """The colours of maps as numbers that a canvas takes: alpha, blue, green and red from the highest byte down."""
    words = scale_table().astype("uint32") << [0, 8, 16, 24]
    numbers = ",".join(str(int(word)) for word in words.sum(axis=1, dtype="uint32"))
    high = round(255 / (OCTAVES + 1))
    return f"export const HIGH = {high};\nexport const SCALE = new Uint32Array([{numbers}]);\n"
