"""The rates of false alarms in the documentation are those that were measured."""

import json
import re
from pathlib import Path

from benchmarks.compare_alarms import STRANGERS, upper
from jfilters.compare import RELATIONSHIPS

ROOT = Path(__file__).parents[2]
PAIRS = json.loads((ROOT / "results/compare/false_alarms.json").read_text())["pairs"]
PAGE = (ROOT / "docs/compare.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \|[^|]+\| (\d+) \(< ([\d.]+) %\) \|$", PAGE, re.M)


def test_every_verdict_but_those_on_strangers_has_a_rate():
    rows = {name.removesuffix(" from").split(", or")[0] for name, _, _ in ROWS}
    assert rows == set(RELATIONSHIPS) - set(STRANGERS)


def test_counts_and_bounds_are_those_of_the_results():
    total = sum(sum(counts.values()) for counts in PAIRS.values())
    assert f"of {total:,}" in " ".join(PAGE.split())
    for name, count, bound in ROWS:
        label = name.removesuffix(" from").split(", or")[0]
        measured = sum(counts.get(label, 0) for counts in PAIRS.values())
        assert int(count) == measured
        assert float(bound) == round(100 * upper(measured, total), 2)
