"""The golden sample: one image, augmentations of it, and what falls outside them.

    python scripts/golden_demo.py demo-output/golden --methods patch,deep-svdd

The image is a real solar cell of the PyPI package elpv-dataset with a marking, 8, printed on it. A model learns from
it and 199 augmentations within the default ranges: brightness, contrast, noise, small shifts and so on. Then it sees
the cell darker by a tenth and moved by two pixels, which those ranges allow, and four changes that they do not: a small
and a large defect, the marking shifted by 40 pixels, and 12 in place of 8.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo import elpv_cells, onlygood

RATE = 0.05
LEVEL = 235


def marked(cell: Image.Image, text: str, at: tuple[int, int]) -> Image.Image:
    """The cell with a marking printed on it."""
    image = cell.copy()
    ImageDraw.Draw(image).text(at, text, fill=LEVEL, font_size=70, anchor="mm", stroke_width=2, stroke_fill=LEVEL)
    return image


def spotted(image: Image.Image, at: tuple[int, int], radius: int) -> Image.Image:
    """The image with a dark spot, as dirt or a dead area makes it."""
    spot = Image.new("L", image.size, 0)
    (x, y), r = at, radius
    ImageDraw.Draw(spot).ellipse((x - r, y - r, x + r, y + r), fill=255)
    changed = image.copy()
    changed.paste(25, mask=spot.filter(ImageFilter.GaussianBlur(1.5)))
    return changed


def moved(image: Image.Image, right: int, down: int) -> Image.Image:
    """The image moved by some pixels; its edge stays where nothing comes after it."""
    changed = image.copy()
    changed.paste(image, (right, down))
    return changed


def images() -> dict[str, tuple[Image.Image, bool]]:
    """Each image by its name, and whether it must be inside."""
    good, _ = elpv_cells()
    cell = Image.open(good[np.random.default_rng(0).permutation(len(good))[0]]).convert("L")
    golden = marked(cell, "8", (150, 150))
    return {
        "golden sample": (golden, True),
        "darker": (golden.point(lambda level: level * 0.9), True),
        "moved by 2 pixels": (moved(golden, 2, 1), True),
        "small defect": (spotted(golden, (75, 215), 9), False),
        "large defect": (spotted(golden, (75, 215), 35), False),
        "marking shifted": (marked(cell, "8", (190, 150)), False),
        "wrong marking": (marked(cell, "12", (150, 150)), False),
    }


def draw_sheet(rows: list[tuple[str, list[tuple[str, Path, float]]]], target: Path) -> None:
    """A row a method: each image beside its heat map, with its name and score."""
    cell, margin, label = 150, 8, 22
    across = len(rows[0][1])
    sheet = Image.new("RGB", (across * (cell + margin) + margin, len(rows) * (2 * cell + 3 * label + margin)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (title, entries) in enumerate(rows):
        top = number * (2 * cell + 3 * label + margin)
        draw.text((margin, top + 3), title, fill="black", font_size=15)
        for column, (name, heatmap, score) in enumerate(entries):
            left = margin + column * (cell + margin)
            with Image.open(heatmap) as both:
                half = both.width // 2
                image, overlay = (
                    both.crop((0, 0, half, both.height)),
                    both.crop((both.width - half, 0, both.width, both.height)),
                )
            sheet.paste(image.resize((cell, cell)), (left, top + label))
            sheet.paste(overlay.resize((cell, cell)), (left, top + label + cell + 2))
            below = top + label + 2 * cell + 4
            draw.text((left, below), name, fill="black", font_size=14)
            draw.text((left, below + 17), f"{score:+.3g}", fill="black" if score <= 0 else (170, 0, 50), font_size=15)
    sheet.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="a folder for all that it leaves")
    parser.add_argument("--methods", default="patch", help="separated by commas; deep-svdd needs the extra train")
    options = parser.parse_args()
    output: Path = options.output
    shown = output / "incoming"
    shown.mkdir(parents=True, exist_ok=True)
    made = images()
    for name, (image, _) in made.items():
        image.save(shown / f"{name}.png")
    golden = output / "golden.png"
    made["golden sample"][0].save(golden)
    rows, wrong = [], []
    for method in options.methods.split(","):
        model, maps = output / f"{method}.onnx", output / f"{method}-heatmaps"
        line = ["fit", golden, "-o", model, "--golden", "--method", method, "--false-alarm-rate", str(RATE)]
        onlygood(*line, "--show-augmentations", output / "augmentations.png")
        found = onlygood("inspect", model, shown, "--heatmaps", maps, "--json", quiet=True).stdout.splitlines()
        scores = {result["name"].removesuffix(".png"): result["score"] for result in map(json.loads, found)}
        rows.append(
            (
                f"{method}, learned from the golden sample alone",
                [(name, maps / f"{name}_heatmap.png", scores[name]) for name in made],
            )
        )
        for name, (_, is_inside) in made.items():
            print(f"{method:<10} {name:<18} {scores[name]:+9.3f}  {'inside' if scores[name] <= 0 else 'outside'}")
            if (scores[name] <= 0) != is_inside:
                wrong.append(f"{method}: {name}")
    draw_sheet(rows, output / "sheet.png")
    print(f"\nOpen {output / 'sheet.png'}; what was called good is in {output / 'augmentations.png'}.")
    if wrong:
        raise SystemExit(f"demo: on the wrong side of the threshold: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
