"""The page as people use it: sort, search, switch, click and key, on a desktop, a phone and in the dark."""

import pytest

from tests.report.page.pages import HOSTILE, SIZES

from .conftest import PHONE, opened

SECTIONS = (
    *(
        "overview",
        "lineage",
        "models",
        "drift",
        "ridges",
        "basis",
        "quality",
        "layers",
        "phenotypes",
    ),
    *("trajectories", "densities", "refused", "provenance"),
)

UNKNOWN = "\N{EN DASH}"


def column(page, table, place):
    cells = page.locator(f"{table} tbody tr > :nth-child({place})")
    return cells.all_inner_texts()


def choose(page, select, label):
    page.select_option(f"#{select}", label=label)


def test_every_section_is_there_and_linked(page):
    assert [x.get_attribute("id") for x in page.locator("main > section").all()] == list(SECTIONS)
    links = [x.get_attribute("href") for x in page.locator("#toc a").all()]
    assert links == [f"#{name}" for name in SECTIONS]


def test_findings_are_told_in_words(page):
    assert "5 models with 15 layers" in page.inner_text("#findings")
    page.click("#findings a[href='#drift']")
    assert page.evaluate("location.hash") == "#drift"


def test_a_hostile_name_is_text_everywhere(page):
    assert page.locator("img").count() == 0
    assert page.locator("h1 b").count() == 0
    assert page.inner_text("h1") == "a <b>scan"
    assert HOSTILE in page.inner_text("#model-table")
    page.hover("#matrix path[role=button] >> nth=0")
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert HOSTILE in page.inner_text("#vg-tooltip-element")
    assert page.locator("#vg-tooltip-element img").count() == 0


class TestModels:
    def test_headings_sort_both_ways_and_say_so(self, page):
        head = page.locator("#model-table thead th", has_text="layers")
        page.locator("#model-table thead button", has_text="format").click()
        assert head.get_attribute("aria-sort") == "none"
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert column(page, "#model-table", 4) == ["4", "4", "3", "2", "2"]
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert column(page, "#model-table", 4) == ["2", "2", "3", "4", "4"]

    def test_what_is_not_known_comes_last_either_way(self, page):
        head = page.locator("#model-table thead th", has_text="task").locator("button")
        for _ in range(3):
            head.click()
            assert column(page, "#model-table", 10)[-1] == UNKNOWN

    def test_search_keeps_what_holds_the_text(self, page):
        page.fill("#model-search", "RUN/step")
        assert sorted(column(page, "#model-table", 1)) == ["run/step_0.pt", "run/step_100.pt"]
        assert page.inner_text("#model-count") == "2 of 5 models"
        page.fill("#model-search", "no such text")
        assert column(page, "#model-table", 1) == []

    def test_a_verdict_filters(self, page):
        words = page.locator("#model-verdict option").all_inner_texts()
        assert words[0] == "any"
        page.select_option("#model-verdict", "healthy")
        assert set(column(page, "#model-table", 2)) == {"healthy"}

    def test_a_model_leads_to_its_layers(self, page):
        page.click("#model-table button.link:has-text('twin.pt')")
        assert page.inner_text("#layer-title") == "conv0.weight of twin.pt"


class TestDrift:
    def test_another_axis_changes_all_views_of_groups(self, page):
        before = page.inner_html("#matrix")
        choose(page, "axis", "task")
        page.wait_for_function(
            "(before) => document.getElementById('matrix').innerHTML !== before", arg=before
        )
        assert page.input_value("#ridge-axis") == page.input_value("#plane-axis") == "task"
        assert page.locator("#pair-first option").all_inner_texts() == ["detection", "other"]
        assert page.locator("#matrix path[role=button]").count() == 2
        assert "2 layers without a label" in page.inner_text("#axis-note")
        assert page.inner_text("#pair-title") == "detection and other"

    def test_a_click_on_a_pair_shows_it(self, page):
        cell = page.locator("#matrix path[aria-label^='plain.pt and twin.pt']")
        cell.click()
        assert page.inner_text("#pair-title") == "plain.pt and twin.pt"
        text = page.inner_text("#pair-text")
        assert "no test" in text
        assert "The 95 % quantile of the sampling null is" in text
        assert "one run against one: there is no other way to split them" in text
        assert "80,000 kernels" in text
        assert cell.get_attribute("aria-pressed") == "true"
        page.wait_for_selector("#overlay svg")
        assert "plain.pt" in page.locator("#overlay svg").text_content()

    def test_cells_can_be_reached_and_chosen_by_keys(self, page):
        assert page.locator("#matrix path[tabindex='0']").count() == 1
        label = "document.activeElement.getAttribute('aria-label')"
        page.focus("#matrix path[tabindex='0']")
        second = page.evaluate(label).partition(" and ")[2].partition(": ")[0]
        page.keyboard.press("ArrowRight")
        third = page.evaluate(label).partition(" and ")[2].partition(": ")[0]
        page.keyboard.press("ArrowDown")
        assert page.evaluate(label).startswith(f"{second} and {third}: ")
        page.keyboard.press("Enter")
        assert page.inner_text("#pair-title") == f"{second} and {third}"
        assert page.evaluate("document.activeElement.id") == "pair"

    def test_the_lists_choose_a_pair_of_two_groups(self, page):
        choose(page, "pair-first", "twin.pt")
        choose(page, "pair-second", "twin.pt")
        first, second = page.inner_text("#pair-title").split(" and ")
        assert first != second == "twin.pt"

    def test_the_table_of_pairs_leads_to_each(self, page):
        page.locator("details:has(#pair-table)").evaluate("(details) => { details.open = true }")
        assert len(column(page, "#pair-table", 1)) == 10
        values = [float(text) for text in column(page, "#pair-table", 3)]
        assert values == sorted(values, reverse=True)
        row = page.locator("#pair-table tbody tr").last
        first, second = (row.locator("> *").nth(i).inner_text() for i in (0, 1))
        row.locator("button").press("Enter")
        assert page.inner_text("#pair-title") == f"{first} and {second}"

    def test_the_ranking_switches_the_axis(self, page):
        page.click("#axes-table button.link:has-text('first_layer')")
        assert page.input_value("#axis") == "first_layer"

    def test_ridges_show_other_components(self, page):
        assert "component 1" in page.locator("#ridge-chart svg").text_content()
        page.select_option("#ridge-component", "6")  # counted from 0
        page.wait_for_function(
            "document.querySelector('#ridge-chart svg').textContent.includes('component 7')"
        )


class TestLayers:
    def test_the_choice_shows_numbers_and_kernels(self, page):
        choose(page, "layer-model", "plain.pt")
        choose(page, "layer-name", "conv2.weight")
        assert page.inner_text("#layer-title") == "conv2.weight of plain.pt"
        assert "collapsed: variance entropy 0.2 and sparsity 0.5" in page.inner_text(
            "#layer-verdict"
        )
        assert "20,000" in page.inner_text("#layer-facts")
        assert page.locator("#tiles canvas").count() == 64
        assert "64 of 300 sampled kernels, of 20,000 in the layer" in page.inner_text("#tiles-note")

    def test_colors_can_be_those_of_the_layer(self, page):
        choose(page, "layer-model", "plain.pt")
        choose(page, "layer-name", "conv3.weight")
        picture = "document.querySelector('#tiles canvas').toDataURL()"
        before = page.evaluate(picture)
        page.select_option("#layer-scale", "layer")
        assert page.evaluate(picture) != before
        assert "all to the largest weight of the layer" in page.inner_text("#tiles-note")

    def test_a_layer_that_the_sample_missed_says_so(self, page):
        choose(page, "layer-model", "run/step_100.pt")
        choose(page, "layer-name", "conv1.weight")
        assert page.locator("#tiles canvas").count() == 0
        assert "holds no kernel of this layer" in page.inner_text("#tiles-note")

    def test_a_point_of_the_depth_chart_leads_to_its_layer(self, page):
        page.locator("#depth .mark-symbol path[aria-label*='collapsed']").first.click()
        assert page.inner_text("#layer-title") == "conv2.weight of plain.pt"

    def test_one_model_can_be_seen_alone(self, page):
        choose(page, "depth-model", "run/step_0.pt")
        page.wait_for_function(
            "document.querySelectorAll('#depth .mark-symbol.role-mark path').length < 10"
        )


def test_basis_trajectory_densities_and_what_was_refused(page):
    assert page.locator("#basis-pictures canvas").count() == 10
    assert "2 steps" in page.inner_text("#run-text")
    assert "0.75 ± 0.01" in page.inner_text("#density-table")
    assert "expected <b> more bytes" in page.inner_text("#refused-table")
    assert "float32" in page.inner_text("#layer-facts")


def test_everything_has_a_name_for_who_cannot_see_it(page):
    for control in page.locator("input, select").all():
        assert control.evaluate("(x) => x.labels.length") == 1
    charts = page.locator(".chart [role=graphics-document]")
    assert charts.count() == page.locator(".chart").count() == 7
    assert all(chart.get_attribute("aria-label") for chart in charts.all())


def test_the_first_key_leads_past_the_links(browser, file):
    page = opened(browser, file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_alone(browser, file, scheme):
    page = opened(browser, file, viewport=PHONE, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.watched.said == []
    page.close()


def test_the_theme_follows_the_system_while_it_is_seen(browser, file):
    page = opened(browser, file, color_scheme="light")
    text = "getComputedStyle(document.querySelector('#matrix .role-axis-label text')).fill"
    colors = [page.evaluate("getComputedStyle(document.body).backgroundColor"), page.evaluate(text)]
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {text} !== '{colors[1]}'")
    dark = [page.evaluate("getComputedStyle(document.body).backgroundColor"), page.evaluate(text)]
    assert brightness(colors[0]) > 200 > brightness(dark[0])
    assert brightness(colors[1]) < 60
    assert brightness(dark[1]) > 200
    page.close()


def brightness(color):
    numbers = color.removeprefix("rgb(").removesuffix(")").split(",")
    return sum(map(float, numbers)) / 3


def test_names_are_all_there(page):
    assert sorted(column(page, "#model-table", 1)) == sorted(SIZES)
