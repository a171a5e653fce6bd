"""Finds the Chromium that the browser tests drive; `python tests/chromium.py --install` gets one.

In this order: the program named by SP_WIDGET_CHROMIUM, a Chromium or Chrome of the system,
Playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO = (
    "No Chromium was found for the browser tests. Install one (on Debian: apt-get install "
    "chromium), or name its program in the environment variable SP_WIDGET_CHROMIUM."
)


def find_chromium() -> str | None:
    """The path of a Chromium program, or None where there is none."""
    named = os.environ.get("SP_WIDGET_CHROMIUM")
    if named:
        return shutil.which(named)
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    return _playwright_chromium()


def require_chromium() -> str:
    """The path of a Chromium program; RuntimeError with what to do where there is none."""
    found = find_chromium()
    if found is None:
        raise RuntimeError(HOW_TO)
    return found


def install_chromium() -> None:
    """Playwright's download where it can be had, else Debian's package where we may install it."""
    download = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(download, check=False).returncode == 0 and find_chromium():
        return
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    apt_get = shutil.which("apt-get")
    if is_root and apt_get:
        print("Playwright's download failed; installing the system's package.", file=sys.stderr)
        subprocess.run([apt_get, "update"], check=False)
        install = [apt_get, "install", "--yes", "--no-install-recommends", "chromium"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(install, check=False, env=environment)


def _playwright_chromium() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).is_file() else None


def main() -> int:
    if find_chromium() is None and "--install" in sys.argv[1:]:
        install_chromium()
    found = find_chromium()
    if found is None:
        print(HOW_TO, file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
