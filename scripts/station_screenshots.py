"""The pictures of the station's pages in the guide: `python scripts/station_screenshots.py docs`.

A station is started as anyone starts one. Chromium opens its pages with a video as camera, in which washers pass:
twelve good ones are taught, then some with a scratch are shown. Images are written as PNG with a palette.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import expect, sync_playwright

HEIGHT, WIDTH = 480, 640
# Radii of a washer, in pixels.
OUTER, INNER = 185, 82
VIEW = {"width": 1100, "height": 820}
MOST_BYTES = 145_000
# Of the video, that show one washer.
FRAMES_EACH = 6
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)


def washer(seed: int, *, is_good: bool = True) -> bytes:
    """The JPEG of a cast washer on a dark table; a bad one has a scratch."""
    random = np.random.default_rng(seed)
    middle = np.array([HEIGHT / 2, WIDTH / 2]) + random.normal(0, 3, 2)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    radius, angle = np.hypot(y - middle[0], x - middle[1]), np.arctan2(y - middle[0], x - middle[1])
    grain = sum(grain_of(random, size) * depth for size, depth in ((6, 6.0), (14, 7.0), (40, 8.0)))
    metal = 168 + 16 * np.cos(angle + 2.2) + grain
    table = 46 + 4 * np.sin(x / 95 + y / 150)
    on_metal = np.clip(0.5 + (OUTER - radius) / 2, 0, 1) * np.clip(0.5 + (radius - INNER) / 2, 0, 1)
    grey = table + (metal - table) * on_metal
    for edge in (OUTER, INNER):
        grey += 22 * np.exp(-(((radius - edge) / 3) ** 2)) * np.cos(angle + 2.2)
    image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    if not is_good:
        draw = ImageDraw.Draw(image)
        start = random.uniform(0, 2 * np.pi)
        turns = start + 0.05 * np.arange(9)
        reach = 100 + 8 * np.arange(9)
        points = list(zip(middle[1] + reach * np.cos(turns), middle[0] + reach * np.sin(turns), strict=True))
        draw.line(points, fill=70, width=4, joint="curve")
        draw.line([(x0 + 2, y0 + 2) for x0, y0 in points], fill=235, width=2, joint="curve")
        image = image.filter(ImageFilter.GaussianBlur(0.7))
    tinted = np.asarray(image)[:, :, None] * np.array([0.99, 1.0, 1.02]) + random.normal(0, 1.0, (HEIGHT, WIDTH, 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(tinted, 0, 255).astype(np.uint8)).save(buffer, format="JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def grain_of(random: np.random.Generator, size: int) -> Any:
    """Smooth noise of a standard deviation of about 1, with bumps of so many pixels, [HEIGHT, WIDTH]."""
    coarse = random.normal(0, 1, (HEIGHT // size + 2, WIDTH // size + 2)).astype(np.float32)
    fine = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(fine)


@contextmanager
def station(data: Path) -> Iterator[str]:
    """The address of a station that runs."""
    command = [sys.executable, "-m", "onlygood", "station", "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+?:\d+", process.stdout.readline())
            if found is None:
                raise SystemExit("the station did not start")
            yield found[0]
        finally:
            process.terminate()


@contextmanager
def browser(playwright: Any, clip: Path) -> Iterator[Any]:
    """A page in Chromium whose camera sees a video."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), playwright.chromium.executable_path)
    opened = playwright.chromium.launch(
        executable_path=found,
        args=[
            "--no-sandbox",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={clip}",
        ],
    )
    context = opened.new_context(viewport=VIEW, color_scheme="light", permissions=["camera"])
    context.set_default_timeout(TIMEOUT_MS)
    yield context.new_page()
    opened.close()


def keep(page: Any, path: Path) -> None:
    """Write what the page shows, with as many colours as the bytes allow."""
    page.mouse.move(0, 0)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in range(256, 16, -16):
        few = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            break
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright, station(Path(made) / "data") as url:
        good, mixed = Path(made) / "good.mjpeg", Path(made) / "mixed.mjpeg"
        good.write_bytes(b"".join(washer(seed) for seed in range(60)))
        mixed.write_bytes(b"".join(washer(500 + n, is_good=n % 60 < 42) * FRAMES_EACH for n in range(60)))
        with browser(playwright, good) as page:
            page.goto(f"{url}/teach/washer")
            page.keyboard.press("s")
            page.wait_for_selector("#take:not([disabled])")
            for number in range(1, 13):
                page.keyboard.press("p")
                expect(page.locator("#taken li")).to_have_count(number)
            keep(page, folder / "station-teach.png")
            page.click("#learn")
            expect(page.locator("#try")).to_be_visible()
        with browser(playwright, mixed) as page:
            page.goto(f"{url}/live?source=browser&model=washer")
            page.keyboard.press("s")
            expect(page.locator("#verdict.good")).to_be_visible()
            # The chart shows good washers, then those with a scratch, until all that are looked at have one.
            expect(page.locator("#alarm-text")).to_have_text("5 of the last 5 images anomalous")
            page.keyboard.press(" ")
            expect(page.locator("#freeze")).to_have_attribute("aria-pressed", "true")
            keep(page, folder / "station-live.png")
            page.keyboard.press(" ")
            with httpx.Client(base_url=url, timeout=60) as client:
                while len(taken := client.get("/v1/inspections").json()["inspections"]) < 12:
                    page.keyboard.press("p")
                    page.wait_for_timeout(700)
                for record in taken[2:7]:
                    label = "defect" if record["verdict"] == "anomalous" else "good"
                    client.post(f"/v1/inspections/{record['id']}/feedback", json={"label": label}).raise_for_status()
            page.goto(f"{url}/history")
            page.wait_for_load_state("networkidle")
            keep(page, folder / "station-history.png")


if __name__ == "__main__":
    main()
