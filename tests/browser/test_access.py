"""The page by the rules of axe-core: at three widths, in both themes, and with everything unfolded."""

import os
from pathlib import Path

import pytest

from .conftest import opened

WIDTHS = (390, 1024, 1440)


@pytest.fixture(scope="module")
def axe():
    if not os.environ.get("CI"):
        pytest.importorskip("axe_playwright_python")
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")


def violations(page, axe):
    page.evaluate(f"() => {{ {axe} }}")
    result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        (rule["id"], rule["nodes"][0]["html"][:200], len(rule["nodes"]))
        for rule in result["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_shut_out(browser, file, axe, width, scheme):
    page = opened(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert violations(page, axe) == []
    page.evaluate("document.querySelectorAll('details').forEach((x) => { x.open = true; })")
    page.focus("#glance-models [data-tip]")
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched = page.watched
    assert (watched.said, [x for x in watched.asked if x.startswith("http")]) == ([], [])
    page.close()
