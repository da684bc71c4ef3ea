"""Whose layers the rows of a Filter DB are, and what its table tells of them."""

import h5py
import numpy as np
import pytest

from jfilters.converters import open_checkpoint, save_kernels
from jfilters.converters._hdf5._filterdb_write import write_filterdb

from .test_filterdb import KERNELS, LAYERS, META, write_csv


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dataset.h5"


def layers_of(path, text):
    return open_checkpoint(write_csv(path, text)).layers


def test_rows_of_one_network_follow_each_other_in_depth_order(path):
    rows = "b,5,0:1\na,0,2:3\nb,2,4:5\n"
    found = layers_of(path, "model,conv_depth,filter_ids\n" + rows)
    assert [(x.stored.member, x.layer.depth) for x in found] == [("b", 2), ("b", 5), ("a", 0)]
    assert [x.layer.relative_depth for x in found] == [0.4, 1.0, 0.0]
    assert [x.layer.name for x in found] == ["layer2", "layer0", "layer1"]


def test_names_are_distinct_and_printable(path):
    # An escape sequence, and the text that it is shown as.
    found = layers_of(path, "model,filter_ids\n\x1b[1m,0:1\n\\x1b[1m,2:3\n,4:5\n")
    assert [x.stored.member for x in found] == [r"\x1b[1m", r"\x1b[1m#2", "unnamed"]


def test_what_the_table_tells_of_a_layer_is_kept(path):
    head = "model,layer,out_channels,in_channels,groups,depth_source,filter_ids\n"
    found = layers_of(path, head + "m,c,4,4,2,name-order,0:7\nm,c,5,3,1,graph,8:15\n")
    assert [x.layer.name for x in found] == ["c", "c#2"]
    assert [x.layer.groups for x in found] == [2, 1]
    # 15 kernels are not 8: what does not fit is not taken.
    assert [x.shape for x in found] == [(4, 2, 3, 3), (1, 8, 3, 3)]
    assert [x.layer.depth_source for x in found] == ["registration-order"] * 2
    np.testing.assert_array_equal(found[0].read(), KERNELS[:8].reshape(4, 2, 3, 3))
    assert [x.stored.metadata for x in found] == [{}, {}]


def test_other_columns_are_metadata(path):
    head = "Name,Task,top1,when,flag,filter_ids\n"
    (found,) = layers_of(path, head + "n,seg,nan,2022-06-19,true,0:1\n")
    expected = {"Task": "seg", "top1": None, "when": "2022-06-19", "flag": True}
    assert found.stored.metadata == expected


@pytest.mark.parametrize("depth", ["-1", "1e300", "nan", "x", ""])
def test_depths_that_are_none(path, depth):
    rows = f"m,{depth},0:1\nm,1,2:3\n"
    found = layers_of(path, "model,conv_depth,filter_ids\n" + rows)
    assert [x.layer.depth for x in found] == [0, 1]
    assert {x.layer.depth_source for x in found} == {"registration-order"}


def test_rows_without_kernels_are_skipped(path):
    write_filterdb(path, LAYERS, META)
    with h5py.File(path, "a") as file:
        records = file["meta/table"][...]
        records["filter_ids"][1] = b"nan"
        file["meta/table"][...] = records
    opened = open_checkpoint(path)
    assert [x.layer.name for x in opened.layers] == ["layer0", "layer2"]
    assert [(x.name, x.reason) for x in opened.skipped] == [("r\xe4s/layer1", "no 3x3 kernels")]


def test_converted_layers_are_named_after_their_networks(path, tmp_path):
    write_filterdb(path, LAYERS, META)
    save_kernels(tmp_path / "k.safetensors", open_checkpoint(path))
    again = open_checkpoint(tmp_path / "k.safetensors").layers
    names = [found.layer.name for found in again]
    assert names == ["r\xe4s/layer0", "r\xe4s/layer1", "other/layer2"]
