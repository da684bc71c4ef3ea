"""A page of 3,000 models: small enough, quick enough, and with only the rows in sight in the document."""

import dataclasses
import time

import numpy as np
import pyarrow as pa
import pytest

from jfilters.report import write_page
from jfilters.report.page import _view
from tests.scans.scans import D, made_scan, replaced

from .conftest import opened

MODELS, LAYERS, SECONDS, BYTES = 3_000, 4, 3, 8_000_000


@pytest.fixture(scope="module")
def many_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    names = [f"part {i % 40}/number {i:04} of models with a longer name.pt" for i in range(MODELS)]
    scan = made_scan(folder, dict.fromkeys(names, LAYERS))
    kind = pa.array([name.split("/")[0] for name in scan.layer_table["model"].to_pylist()])
    table = scan.layer_table.append_column("kind", kind)
    layer = np.repeat(np.arange(MODELS * LAYERS), 10)
    sample = np.random.default_rng(0).standard_normal((len(layer), D)).astype(np.float32)
    scan = dataclasses.replace(scan, layer_table=table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_view, "PERMUTATIONS", 0)
        write_page(replaced(scan, sample=sample, sample_layer=layer), folder / "page.html")
    return folder / "page.html"


@pytest.mark.slow
def test_3000_models_are_searched_and_scrolled(browser, many_file):
    assert many_file.stat().st_size <= BYTES
    start = time.perf_counter()
    page = opened(browser, many_file)
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert page.evaluate(paint) <= 1000 * SECONDS, time.perf_counter() - start
    for box in ("#glance-models", "#model-table"):
        assert 10 < page.locator(f"{box} tbody tr").count() < 100
        assert page.get_attribute(f"{box} table", "aria-rowcount") == str(MODELS + 1)
    page.evaluate("document.getElementById('glance-models').scrollTop = 1e9")
    page.wait_for_selector(f"#glance-models tr[aria-rowindex='{MODELS + 1}']")
    for search, count, box in (
        ("#glance-search", "#glance-count", "#glance-models"),
        ("#model-search", "#model-count", "#model-table"),
    ):
        page.fill(search, "NUMBER 2999")
        assert page.inner_text(count).startswith("1 of 3,000")
        assert "number 2999" in page.locator(f"{box} tbody th").first.text_content()
    assert page.locator("#axis option", has_text="kind").count() == 1
    assert page.watched.said == []
    page.close()
