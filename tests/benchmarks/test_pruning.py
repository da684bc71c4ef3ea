"""Kernels that `quality` names can be zero: a network keeps its accuracy, and loses it without others."""

import numpy as np
import pytest

from benchmarks import pruning


@pytest.fixture(scope="module")
def row():
    return pruning.measured(0, "slim", steps=300)


def test_the_named_kernels_do_not_count_and_others_do(row):
    assert row["accuracy"] > 0.95
    assert row["named"] > 0.05
    assert row["named_zeroed"] > row["accuracy"] - 0.01
    assert row["others_zeroed"] < row["accuracy"] - 0.05


def test_most_of_them_are_whole_channels_that_the_norm_turned_off(row):
    assert 0 < row["in_channels"] <= row["named"]


def test_others_are_as_many_of_each_layer_and_none_that_is_named():
    named = {"a": np.eye(6, dtype=bool), "b": np.zeros((2, 3), bool)}
    others = pruning.others(named, 0)
    assert {name: mask.sum() for name, mask in others.items()} == {"a": 6, "b": 0}
    assert not (others["a"] & named["a"]).any()


def test_the_table_has_a_line_a_network(row):
    assert pruning.text([row, row]).count("| slim | 0 |") == 2
