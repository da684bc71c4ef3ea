"""A page of every part in Debian's Chromium, and what it must never do while it is looked at."""

import os
import shutil

import pytest

from jfilters.report import write_page
from tests.report.page.pages import SIZES, lively_scan, save_densities

CHROMIUM = shutil.which("chromium")
CELLS = len(SIZES) * (len(SIZES) - 1)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "expected chromium on the machine of continuous integration"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "a <b>scan"
    scan = lively_scan(folder)
    save_densities(folder)
    write_page(scan, folder / "report.html")
    return folder / "report.html"


class Watched:
    """What a page said and asked for."""

    def __init__(self, page):
        self.said, self.asked, self.dialogs = [], [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))


def opened(browser, file, **options):
    page = browser.new_page(**({"viewport": DESKTOP} | options))
    page.watched = Watched(page)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    page.wait_for_function("() => document.querySelectorAll('.chart:empty').length === 0")
    return page


@pytest.fixture(scope="session")
def shared(browser, file):
    """One page for all tests of a desktop: it takes longer to draw than most of them."""
    return opened(browser, file)


@pytest.fixture
def page(shared):
    """The shared page as it was opened; whatever a test does, nothing is said, asked for or popped up."""
    shared.fill("#model-search", "")
    shared.select_option("#model-verdict", "")
    shared.select_option("#depth-model", "")
    if shared.input_value("#axis") != "model":
        shared.select_option("#axis", "model")
        drawn = f"() => document.querySelectorAll('#matrix path[role=button]').length === {CELLS}"
        shared.wait_for_function(drawn)
    yield shared
    shared.wait_for_timeout(50)
    watched = shared.watched
    assert (watched.said, watched.dialogs) == ([], [])
    assert [url for url in watched.asked if not url.startswith("data:")] == [
        shared.url.partition("#")[0]
    ]
