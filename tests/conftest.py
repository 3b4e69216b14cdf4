"""What all tests share: one thread (two workers share a small machine), and whether there is a browser."""

from __future__ import annotations

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch

import pytest


def chromium_path() -> str | None:
    """The browser of the browser tests; Debian, Fedora and others name it differently."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium. Without one the test is skipped, but where a browser is promised (CI) it fails."""
    path = chromium_path()
    if path is None:
        message = "no Chromium found: install it (on Debian: apt install chromium)"
        if os.environ.get("METADIALOG_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path
