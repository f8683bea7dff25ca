"""The distribution's Chromium, driven by Playwright; nothing is downloaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def chromium_path() -> str | None:
    """Find the browser: ``TAPEHUB_CHROMIUM``, else by its usual names."""
    named = os.environ.get("TAPEHUB_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str) -> Iterator["Browser"]:
    """Run it without a window; call from one thread alone, in which no event loop runs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A sandbox of its own needs rights that containers do not give; it only ever opens this machine's own page.
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en-GB"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            browser.close()
