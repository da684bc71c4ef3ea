"""The picture of the page: `python docs/_page_picture.py` makes it anew into docs/images.

It shows the twelve checkpoints that `examples/make_checkpoints.py` makes.
"""

import runpy
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import jfilters as jf

IMAGES = Path(__file__).parent / "images"
EXAMPLES = Path(__file__).parents[1] / "examples"
VIEWS = {"page": (1440, 900, "light"), "page-phone": (390, 844, "dark")}


def draw() -> None:
    """Write the pictures of the first screen, on a desktop and on a phone."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints, page = Path(folder) / "checkpoints", Path(folder) / "page.html"
        runpy.run_path(str(EXAMPLES / "make_checkpoints.py"))["main"](checkpoints)
        jf.scan(checkpoints).report(page)
        _screens(page)


def _screens(page: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (width, height, scheme) in VIEWS.items():
            view = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            view.goto(page.as_uri())
            view.wait_for_selector("html[data-ready]", state="attached")
            view.wait_for_timeout(1000)
            view.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    draw()
