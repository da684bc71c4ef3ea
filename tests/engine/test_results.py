"""The statistics of all checkpoints, stacked while they are read, and collected at the end."""

from pathlib import Path

import numpy as np
import pytest

from jfilters.engine import Options, _results
from jfilters.engine._checkpoint_statistics import CheckpointStatistics
from jfilters.engine._plan import Entry
from jfilters.engine._results import Results
from jfilters.engine._sample import Sample
from jfilters.lineage.internal import Sketcher
from jfilters.scans.internal import LayerStatistics

OPTIONS = Options()
NOTHING = CheckpointStatistics.of_nothing(Entry("", Path()), OPTIONS)


def checkpoint(index: int, layers: int, *, count: int = 0) -> CheckpointStatistics:
    """A checkpoint with two sampled kernels a layer, all of whose numbers are `index`."""
    statistics = LayerStatistics.empty(layers, OPTIONS.d, OPTIONS.bins)
    statistics.max_abs[:] = statistics.normalized.count[:] = index
    statistics.histogram[:] = count
    kernels = np.full((2 * layers, OPTIONS.d), index, np.float32)
    sample = Sample(kernels, np.repeat(np.arange(layers), 2))
    sketcher = Sketcher([layers])
    weights = np.random.default_rng(index).normal(size=(layers, index + 2, 1, 3, 3))
    for _ in sketcher.watch(weights.astype(np.float32)):
        pass
    entry = Entry(f"net{index}", Path())
    return CheckpointStatistics(entry, statistics.narrowed(), sample, sketcher.sketches())


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Five checkpoints of index + 1 layers in stacks of two, out of order, the second counted again."""
    monkeypatch.setattr(_results, "CHECKPOINTS_AT_ONCE", 2)
    results = Results(NOTHING)
    for index in (3, 0, 4, 1, 2):
        results[index] = checkpoint(index, index + 1)
    results[1] = checkpoint(1, 2, count=300)
    return results


def test_results_are_collected_in_the_order_of_the_checkpoints(results: Results):
    names = [entry.model for entry in results.entries()]
    layers, sample, sketches = results.pop_all()
    expected = np.repeat(np.arange(5), np.arange(5) + 1)
    assert names == [f"net{i}" for i in range(5)]
    assert layers.max_abs.tolist() == layers.normalized.count.tolist() == expected.tolist()
    assert layers.histogram[:, 0, 0].tolist() == np.where(expected == 1, 300, 0).tolist()
    assert sample.layer.tolist() == np.repeat(np.arange(15), 2).tolist()
    assert sample.kernels[:, 0].tolist() == np.repeat(expected, 2).tolist()
    assert sketches.n.tolist() == (expected + 2).tolist()


def test_collected_results_are_released(results: Results):
    results.pop_all()
    layers, sample, sketches = results.pop_all()
    assert len(layers) == len(sample.layer) == len(sketches) == 0


def test_no_results_have_the_shapes_of_the_options():
    layers, sample, _ = Results(NOTHING).pop_all()
    assert layers.histogram.shape == (0, OPTIONS.d, OPTIONS.bins)
    assert sample.kernels.shape == (0, OPTIONS.d)
