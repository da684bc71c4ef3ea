"""Two sets of weights compared as checkpoints, for every test of verdicts."""

import pytest

from jfilters.compare import Comparison, compare

from .test_compare_composed import Weights, saved


@pytest.fixture
def pair(tmp_path):
    def compared(first: Weights, second: Weights) -> Comparison:
        a, b = saved(tmp_path / "a.safetensors", first), saved(tmp_path / "b.safetensors", second)
        return compare([a, b], detailed=False)[0]

    return compared
