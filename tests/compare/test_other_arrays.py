"""Files whose kernels are equal and whose other arrays are not."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.compare import Comparison, compare

from .networks import Weights, family

CONVOLUTION = np.ones((4, 8, 1, 1), np.float32)


@pytest.fixture
def pair(tmp_path):
    def compared(first: Weights, second: Weights) -> Comparison:
        for name, weights in (("a", first), ("b", second)):
            save_file(dict(weights), tmp_path / f"{name}.safetensors", {"format": "pt"})
        return compare([tmp_path / "a.safetensors", tmp_path / "b.safetensors"], detailed=False)[0]

    return compared


def net() -> Weights:
    statistics = {"bn.running_mean": np.ones(8, np.float32), "bn.num": np.array(5)}
    return family()["net"] | statistics | {"point.weight": CONVOLUTION}


def test_the_same_file_is_identical(pair):
    result = pair(net(), net())
    assert result.relation.label == "identical"
    assert result.other_arrays.are_equal
    assert result.other_arrays.common == 8


@pytest.mark.parametrize(
    "name", ["7.weight", "7.bias", "0.bias", "bn.running_mean", "bn.num", "point.weight"]
)
def test_one_array_that_differs_is_named(pair, name):
    result = pair(net(), net() | {name: np.asarray(net()[name] + 1)})
    assert result.relation.label == "kernels identical, other arrays differ"
    assert f"1 of 8 other arrays differ: {name}" in result.relation.reasons
    assert result.record()["other_arrays"]["differing"] == [name]


def test_a_trained_head(pair):
    head = {name: family()["tuned"][name] for name in ("7.weight", "7.bias")}
    relation = pair(net(), net() | head).relation
    assert relation.label == "kernels identical, other arrays differ"
    assert any("2 of 8 other arrays differ: 7.bias, 7.weight" in x for x in relation.reasons)


def test_a_head_of_more_classes(pair):
    head = {"7.weight": np.zeros((9, 4), np.float32)}
    assert pair(net(), net() | head).relation.label == "kernels identical, other arrays differ"


def test_arrays_in_one_file_alone(pair):
    fewer = {name: w for name, w in net().items() if not name.startswith("7.")}
    relation = pair(net(), fewer).relation
    assert relation.label == "kernels identical, other arrays differ"
    assert "2 other arrays are in the first alone: 7.bias, 7.weight" in relation.reasons


def test_rounding_of_other_arrays_is_none(pair):
    half = {name: w.astype(np.float16) if w.ndim else w for name, w in net().items()}
    relation = pair(net(), half).relation
    assert relation.label == "re-saved"
    changed = half | {"7.weight": (net()["7.weight"] * 1.01).astype(np.float16)}
    relation = pair(net(), changed).relation
    assert relation.label == "re-saved, other arrays differ"
    assert "1 of 8 other arrays differ: 7.weight" in relation.reasons


def test_equal_values_that_are_not_finite_are_equal(pair):
    broken = net() | {"0.bias": np.full(24, np.nan, np.float32)}
    assert pair(broken, broken).relation.label == "identical"


def test_kernels_that_differ_leave_the_other_arrays_unread(pair):
    assert pair(family()["net"], family()["tuned"]).other_arrays is None
