"""The forest on the page: nested lists, folds that fill when opened, names as text, and a phone."""

import pytest

from jfilters.report import write_page
from jfilters.report.page import _lineage
from tests.report.kin import edge, forest
from tests.report.page.pages import HOSTILE, lively_scan

from .conftest import DESKTOP, PHONE, opened

LONG = "a-folder-with-a-long-name/" * 8 + "model.safetensors"
CHAIN = [edge(f"step{i:03}.pt", f"step{i + 1:03}.pt") for i in range(299)]
SMALL = [edge(HOSTILE, LONG), edge(LONG, LONG + "2", directed=False), edge(HOSTILE, "c", "pruned")]


@pytest.fixture(scope="module")
def lineage_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lineage")
    families = [[f"step{i:03}.pt" for i in range(300)], [HOSTILE, LONG, LONG + "2", "c"]]
    answer = forest([*CHAIN, *SMALL], [f"stranger{i}" for i in range(20)], families=families)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lineage, "shown_forest", lambda _: (answer, "By hand."))
        write_page(lively_scan(folder / "scan"), folder / "page.html")
    return folder / "page.html"


@pytest.fixture
def page(browser, lineage_file):
    page = opened(browser, lineage_file)
    yield page
    assert (page.watched.said, page.watched.dialogs) == ([], [])
    page.close()


def test_children_lie_inside_their_parents(page):
    trees = page.locator("#lineage .tree").all()
    assert len(trees) == 1  # the large family is folded
    root = page.locator("#lineage .tree > li")
    assert root.count() == 1
    children = root.locator("> ul > li > .kin b").all_inner_texts()
    assert children == [LONG, "c"]
    grandchild = root.locator("> ul > li > ul > li")
    assert grandchild.get_attribute("class") == "undirected"
    assert "direction: cannot tell" in grandchild.inner_text()
    assert "pruned from" in root.inner_text()
    assert "12.0% of the weights differ" in root.locator("small").first.inner_text()


def test_a_hostile_name_is_text(page):
    assert HOSTILE in page.locator("#lineage .tree > li > .kin b").inner_text()
    assert page.locator("#lineage img").count() == 0


def test_a_large_family_is_made_when_it_is_opened(page):
    fold = page.locator("#lineage-families details")
    assert fold.locator("li").count() == 0
    fold.locator("summary").click()
    page.wait_for_function("() => document.querySelectorAll('#lineage-families details li').length")
    assert fold.locator("b", has_text="step299.pt").count() == 1
    count = fold.locator("li").count()
    assert count >= 300
    fold.locator("summary").click()
    fold.locator("summary").click()
    assert fold.locator("li").count() == count


def test_models_without_kin_take_a_line_and_a_fold(page):
    strangers = page.locator("#lineage-strangers")
    assert "and 12 more." in strangers.locator("> p").inner_text()
    strangers.locator("summary").click()
    assert "stranger19" in strangers.locator("details p").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_window(browser, lineage_file, viewport, scheme):
    page = opened(browser, lineage_file, viewport=viewport, color_scheme=scheme)
    page.locator("#lineage-families details summary").click()
    wide = page.evaluate(
        "() => [...document.querySelectorAll('#lineage *')]"
        ".filter((x) => x.getBoundingClientRect().right > innerWidth).map((x) => x.className)"
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
