"""The statistics of a checkpoint come back from their bytes unchanged, and take few of them."""

from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
import pytest

from jfilters.engine._checkpoint_statistics import CheckpointStatistics, dump, load
from jfilters.engine._plan import Entry
from jfilters.engine._sample import Sample
from jfilters.lineage.internal import Sketcher
from jfilters.scans.internal import LayerStatistics

ENTRY = Entry("net", Path("net.safetensors"))


def sketched(layers):
    rng = np.random.default_rng(1)
    sketcher = Sketcher([layers])
    for _ in sketcher.watch(rng.normal(size=(layers, 4, 3, 3, 3)).astype(np.float32)):
        pass
    return sketcher.sketches()


def statistics(counts, sparse=0, layers=50):
    statistics = LayerStatistics.empty(layers, 9, 70)
    statistics.histogram[...] = counts
    statistics.sparse_histogram[:, 3, 7] = sparse
    statistics.raw.scatter[...] = np.random.default_rng(0).normal(size=statistics.raw.scatter.shape)
    return CheckpointStatistics(ENTRY, statistics, Sample.of_nothing(9), sketched(layers), "key")


@pytest.mark.parametrize("counts", [0, 1, 255, 65_536, 2**31, 2**40])
@pytest.mark.parametrize("sparse", [0, 300])
def test_statistics_come_back_whatever_the_size_of_their_counts(counts, sparse):
    expected = statistics(counts, sparse)
    found = load(dump(expected), ENTRY)
    jax.tree.map(np.testing.assert_array_equal, asdict(found.layers), asdict(expected.layers))
    jax.tree.map(np.testing.assert_array_equal, asdict(found.sketches), asdict(expected.sketches))
    assert len(found.sketches.rows) == 50
    assert found.bins_key == "key"


def test_histograms_that_are_not_there_take_no_bytes():
    full, few, none = (len(dump(statistics(counts))) for counts in (2**40, 200, 0))
    assert full - few == pytest.approx(7 * 50 * 9 * 70, abs=200)
    assert few - none == pytest.approx(50 * 9 * 70, abs=200)
