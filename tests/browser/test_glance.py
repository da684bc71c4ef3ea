"""The first screen: what is in sight without scrolling, and what explains itself."""

import re

import pytest

from tests.report.page.pages import HOSTILE, SIZES

from .conftest import PHONE, opened

WIDE = {"width": 1440, "height": 900}
TILES = ("models", "families", "a look", "kernels")


def in_sight(page, selector):
    box = page.locator(selector).first.bounding_box()
    return box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["desktop", "phone"])
def test_tiles_and_models_are_in_sight_without_scrolling(browser, file, viewport):
    page = opened(browser, file, viewport=viewport)
    tiles = page.locator("#glance-tiles li").all()
    assert len(tiles) == len(TILES)
    for tile, noun in zip(tiles, TILES, strict=True):
        assert noun.rstrip("s") in tile.inner_text()
        box = tile.bounding_box()
        assert box["y"] + box["height"] <= viewport["height"]
    assert page.locator("#glance-models tbody tr:not(.spacer)").count() == len(SIZES)
    assert in_sight(page, "#glance-models tbody tr:not(.spacer) .counts")
    page.close()


def test_a_desktop_shows_forest_and_matrix_too(browser, file):
    page = opened(browser, file, viewport=WIDE)
    assert in_sight(page, "#glance-forest")
    assert in_sight(page, "#glance-matrix canvas")
    page.close()


def row_of(page, name):
    return page.locator("#glance-models tbody tr", has_text=name)


class TestRows:
    def test_verdicts_are_counted_in_the_second_column(self, page):
        counts = row_of(page, "plain.pt").locator("td").nth(0)
        assert re.sub(r"\s", "", counts.inner_text()) == "✗1!0✓3"

    def test_the_worst_come_first(self, page):
        names = page.locator("#glance-models tbody th").all_inner_texts()
        assert [HOSTILE in names[0], "plain.pt" in names[1]] == [True, True]

    def test_the_strip_has_a_bar_a_layer_and_says_so(self, page):
        canvas = row_of(page, "plain.pt").locator("canvas.strip")
        label = "layers in order of depth: 1 bad, 0 to look at, 3 good"
        assert canvas.get_attribute("aria-label") == label
        heights = canvas.evaluate(
            "(x) => { const d = x.getContext('2d').getImageData(0, 0, x.width, 26).data;"
            "return [0, 1, 2, 3].map((i) => [...Array(26).keys()].filter("
            "(y) => d[4 * (y * x.width + i * x.width / 4 + 2) + 3] > 0).length); }"
        )
        assert heights == [9, 9, 26, 9]

    def test_first_kernels_are_shown(self, page):
        assert row_of(page, "plain.pt").locator(".thumbs canvas").count() == 6

    def test_a_search_narrows(self, page):
        page.fill("#glance-search", "TWIN")
        names = page.locator("#glance-models tbody th").all_inner_texts()
        page.fill("#glance-search", "")
        assert names == ["twin.pt"]

    def test_a_name_leads_to_the_worst_layer(self, page):
        row_of(page, "plain.pt").locator("button.link").click()
        assert page.inner_text("#layer-title") == "conv2.weight of plain.pt"


class TestExplained:
    @pytest.mark.parametrize("way", ["hover", "focus"])
    def test_counts_explain_themselves(self, page, way):
        counts = row_of(page, "plain.pt").locator("[data-tip]")
        counts.scroll_into_view_if_needed()
        page.wait_for_timeout(50)
        getattr(counts, way)()
        assert page.locator("#tip").is_visible()
        assert "1 bad, 0 to look at, 3 good: 1 collapsed, 3 healthy." in page.inner_text("#tip")
        assert counts.get_attribute("aria-describedby") == "tip"
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        counts.evaluate("(x) => x.blur()")
        page.mouse.move(0, 0)

    def test_a_verdict_says_its_class(self, page):
        page.select_option("#layer-model", label="plain.pt")
        page.select_option("#layer-name", label="conv2.weight")
        page.hover("#layer-verdict .verdict")
        assert page.inner_text("#tip").startswith("Bad. Few patterns, and many kernels near zero")
        page.mouse.move(0, 0)

    def test_why_is_folded_in(self, page):
        why = page.locator("#findings li", has_text="Health").locator("details")
        assert why.get_attribute("open") is None
        why.locator("summary").click()
        assert "collapsed: variance entropy 0.2 and sparsity 0.5" in why.inner_text()
        why.locator("summary").click()


def test_the_page_opens_on_the_worst_layer_with_its_kernels(browser, file):
    page = opened(browser, file)
    assert page.inner_text("#layer-title") == "conv2.weight of plain.pt"
    assert page.locator("#tiles canvas").count() >= 16
    assert "Bad" in page.get_attribute("#layer-verdict .verdict", "aria-label").title()
    page.close()


def test_the_legend_has_a_ruler_for_d(page):
    text = page.inner_text("#matrix-legend")
    for mark in ("other seed 0.0016", "other data 0.012", "other task 0.059"):
        assert mark in text
    assert "too few kernels: outside the scale" in text


def test_paper_has_every_row_and_no_controls(browser, file):
    page = opened(browser, file)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#glance-models tbody tr").count() == len(SIZES)
    for hidden in (".toc", ".controls >> nth=0", "#glance-search"):
        assert page.locator(hidden).is_hidden()
    avoided = "[...document.querySelectorAll('section, .card, .panel, .chart')]"
    inside = f"{avoided}.filter((x) => getComputedStyle(x).breakInside !== 'auto').length"
    assert page.evaluate(inside) == 0  # what may not break leaves a page half empty
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#glance-models tr.spacer").count() == 2
    page.close()
