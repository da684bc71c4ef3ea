"""The real input: every checkpoint of the zoo has as many 3x3 kernels as its entry says."""

import os

import numpy as np
import pytest

from jfilters import zoo
from jfilters.engine import layers_table, models_table, scan


@pytest.fixture(scope="session")
def folder(pytestconfig):
    folder = pytestconfig.cache.mkdir("zoo")
    zoo.fetch(folder, all=True)
    return folder


@pytest.mark.network
@pytest.mark.skipif("CI" not in os.environ, reason="downloads 130 MB; set CI to run it")
def test_every_real_network_is_read_right(folder):
    found = scan(folder)
    models = models_table(found, layers_table(found)).to_pylist()
    counts = {row["model"]: row["n_kernels"] for row in models}
    expected = {entry.name: entry.n_3x3_kernels for entry in zoo.entries()}
    statuses = {entry.model: entry.status for entry in found.entries}
    assert {name: counts.get(name, 0) for name in expected} == expected
    assert statuses == {name: "ok" if count else "empty" for name, count in expected.items()}
    assert [path.name for path in found.ignored] == ["metadata.csv"]
    np.testing.assert_array_equal(found.cards.histogram.sum(axis=(1, 2)), 9 * found.cards.n_kernels)
