import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters import StoredArray
from jfilters.converters._depth import depths, natural_key, relative_depth


def arrays(given_depths):
    return [StoredArray("w", (), "float32", lambda: np.zeros(()), depth=d) for d in given_depths]


def test_a_graph_gives_ranks_among_its_distinct_depths():
    assert depths(arrays([7, 2, 2, 40]), "abcd", "name-order") == ([1, 0, 0, 2], "graph")


def test_without_a_whole_graph_the_place_counts():
    found = depths(arrays([7, None, 1]), "cab", "registration-order")
    assert found == ([0, 1, 2], "registration-order")


def test_names_sort_naturally():
    names = ["net.Conv_10.weight", "net.Conv_2.weight", "net.conv_1.weight"]
    assert depths(arrays([None] * 3), names, "name-order") == ([2, 1, 0], "name-order")


@pytest.mark.parametrize(
    "ordered",
    [
        ["stem.conv.weight", "blocks.0.weight", "blocks.1.weight", "head.weight"],
        ["conv_stem/kernel", "Block_2/kernel", "Block_10/kernel", "conv_head/kernel"],
        ["patch_embed.proj.weight", "layers.0.weight", "fc.weight"],
        ["model.conv_first.weight", "model.body.0.weight", "model.conv_last.weight"],
        ["encoder.0.weight", "bottleneck.weight", "decoder.0.weight", "classifier.0.weight"],
    ],
)
def test_stems_come_first_and_heads_last_among_their_siblings(ordered):
    assert sorted(set(ordered), key=natural_key) == ordered


@given(st.lists(st.text("ab01./_", max_size=8)))
def test_any_names_compare(names):
    ranks, _ = depths(arrays([None] * len(names)), names, "name-order")
    assert sorted(set(ranks)) == list(range(len(set(ranks))))


def test_relative_depth_of_one_layer_is_zero():
    assert relative_depth(0, 0) == 0.0
    assert [relative_depth(d, 4) for d in (0, 1, 4)] == [0.0, 0.25, 1.0]
