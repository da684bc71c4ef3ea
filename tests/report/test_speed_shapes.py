"""The shapes of work that keep answers about many groups quick: no record a pair, no slow import."""

import subprocess
import sys

import numpy as np

from jfilters.questions import axes_table, drift_between
from jfilters.questions.drift import _table
from jfilters.report._palette import VERDICT_COLORS
from jfilters.report.page._charts import CHARTS, charts
from tests.scans.scans import made_scan

SLOW = ("jax", "altair", "pandas", "matplotlib")


def scan_of(models=6):
    sizes = {f"{i}.pt": 3 for i in range(models)}
    details = {
        (name, depth): {"dtype": f"float{16 * (1 + i % 3)}"}
        for i, name in enumerate(sizes)
        for depth in range(3)
    }
    return made_scan(None, sizes, told=details)


class TestAxes:
    def test_an_axis_needs_no_record_of_a_pair(self, monkeypatch):
        scan = scan_of()
        monkeypatch.setattr(_table.Pair, "__init__", None)
        assert axes_table(scan, ["dtype"], permutations=0).axes[0].groups == 3

    def test_the_values_are_those_of_the_pairs(self):
        scan = scan_of()
        row = axes_table(scan, ["dtype"], permutations=0).axes[0]
        pairs = drift_between(scan, "dtype", permutations=0, replicates=0).pairs
        values = [pair.value for pair in pairs]
        largest = pairs[int(np.argmax(values))]
        assert (row.median, row.mean, row.maximum) == (
            np.median(values),
            np.mean(values),
            max(values),
        )
        assert row.furthest == (largest.first, largest.second)


def test_charts_are_named_and_have_the_colors_of_all_verdicts():
    specs = charts()
    assert list(specs) == list(CHARTS)
    color = specs["depth"]["spec"]["layer"][1]["encoding"]["color"]["scale"]
    assert color == {"domain": list(VERDICT_COLORS), "range": list(VERDICT_COLORS.values())}


def test_a_page_imports_no_slow_package():
    code = f"import sys, jfilters.report.page._page; print([x for x in {SLOW} if x in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
