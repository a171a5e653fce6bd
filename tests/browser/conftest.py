"""One browser, one Jupyter server, and a page whose console must stay clean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.browser.console import Console
from tests.browser.panel import SOON
from tests.browser.server import JupyterServer
from tests.browser.workbench import Workbench
from tests.chromium import require_chromium

ARTIFACTS = Path(__file__).resolve().parents[2] / "test-artifacts"

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

WINDOW: ViewportSize = {"width": 1280, "height": 1100}

expect.set_options(timeout=SOON)

_BROWSER = pytest.StashKey[Browser]()

Photograph = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def browser(pytestconfig: pytest.Config) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_chromium(), args=CHROMIUM_OPTIONS
        )
        pytestconfig.stash[_BROWSER] = browser
        yield browser
        del pytestconfig.stash[_BROWSER]
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    with JupyterServer(tmp_path_factory.mktemp("jupyter") / "server") as server:
        yield server
        server.keep_log(ARTIFACTS)


@pytest.fixture(scope="session")
def console() -> Console:
    return Console()


@pytest.fixture(autouse=True)
def _nothing_on_the_console(console: Console) -> Iterator[None]:
    """No test may leave an error or a warning on the console of its page."""
    yield
    assert console.take() == []


def _new_page(browser: Browser, console: Console) -> Page:
    page = browser.new_context(viewport=WINDOW).new_page()
    console.listen(page)
    return page


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    page = _new_page(browser, console)
    yield page
    page.context.close()


@pytest.fixture(scope="session")
def shared_workbench(
    browser: Browser, console: Console, server: JupyterServer
) -> Iterator[Workbench]:
    page = _new_page(browser, console)
    yield Workbench(page, server)
    page.context.close()


@pytest.fixture
def workbench(shared_workbench: Workbench) -> Iterator[Workbench]:
    yield shared_workbench
    shared_workbench.page.set_viewport_size(WINDOW)
    shared_workbench.notebook.use_theme("light")
    shared_workbench.clear()


@pytest.fixture(scope="session")
def photograph() -> Photograph:
    """Save what the window shows, for a person to look at."""

    def save(page: Page, name: str) -> None:
        page.screenshot(path=ARTIFACTS / f"{name}.png")

    return save


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that fails leaves a picture of every open page."""
    report = yield
    browser = item.config.stash.get(_BROWSER, None)
    if report.failed and browser is not None:
        name = re.sub(r"\W+", "-", item.name).strip("-")
        pages = [page for context in browser.contexts for page in context.pages]
        for number, page in enumerate(pages):
            page.screenshot(path=ARTIFACTS / f"FAILED-{name}-{call.when}-{number}.png")
    return report
