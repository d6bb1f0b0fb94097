"""Chromium, in which tests open pages."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def missing(reason: str) -> Any:
    """Where CI runs, a browser is there; elsewhere these tests are left out without one."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: make browser installs it")
    pytest.skip(f"{reason}: make browser installs it")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("Playwright is not installed")
    with sync_playwright() as playwright:
        found = next((path for name in BROWSERS if (path := shutil.which(name))), playwright.chromium.executable_path)
        if not Path(found).exists():
            missing("no Chromium was found")
        opened = playwright.chromium.launch(executable_path=found)
        yield opened
        opened.close()
