"""Sketches in scans: selected, merged and bundled with their layers; damaged ones are refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from jfilters import CheckpointError
from jfilters.scans import merge_scans, open_scan, save_bundle
from jfilters.scans.internal import networks_of, sketch_arrays

from .scans import made_scan, replaced, same_sketches, save_folder

SIZES = {"a.pt": 3, "b.pt": 1, "c.pt": 4}


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return made_scan(tmp_path_factory.mktemp("made"), SIZES)


def layer_of(sketches, layer):
    """The rows and the hashes of one layer, cut by hand."""
    start = sketches.n_rows[:layer].sum()
    rows = sketches.rows[start : start + sketches.n_rows[layer]]
    return rows.tolist(), sketches.hashes[sketches.hash_layer == layer].tolist()


class TestSelection:
    @given(st.lists(st.booleans(), min_size=8, max_size=8))
    def test_the_sketches_of_the_layers_that_stay(self, scan, chosen):
        part = scan.only(np.array(chosen)).sketches
        assert len(part) == sum(chosen)
        for place, layer in enumerate(np.flatnonzero(chosen)):
            assert layer_of(part, place) == layer_of(scan.sketches, layer)
            assert part.n[place] == scan.sketches.n[layer]
            assert part.spread[place] == scan.sketches.spread[layer]
            assert part.zeros[place] == scan.sketches.zeros[layer]

    def test_any_order_of_layers_has_one_order_of_hashes(self, scan):
        order = np.array([5, 0, 7, 2])
        part = scan.sketches.take(order)
        assert (np.diff(part.hash_layer) >= 0).all()
        for place, layer in enumerate(order):
            assert layer_of(part, place) == layer_of(scan.sketches, layer)

    @given(st.integers(0, 8), st.integers(0, 8))
    def test_a_slice_is_the_range_of_places(self, scan, start, stop):
        ranged = scan.sketches.take(slice(start, stop))
        assert same_sketches(ranged, scan.sketches.take(np.arange(start, stop)))

    def test_a_scan_without_sketches_has_none(self, scan):
        bare = replaced(scan, **dict.fromkeys(sketch_arrays(scan.sketches)))
        assert bare.sketches is None
        assert networks_of(bare) is None
        assert bare.only(np.arange(8) < 2).sketches is None


class TestMerge:
    def test_two_halves_are_the_whole(self, scan):
        is_first = scan.model_of_layer < 2
        merged, _ = merge_scans([scan.only(is_first), scan.only(~is_first)])
        assert same_sketches(merged.sketches, scan.sketches)

    def test_a_scan_without_sketches_takes_those_of_all(self, scan, tmp_path):
        other = made_scan(tmp_path, {"d": 1}, seed=1)
        bare = replaced(other, **dict.fromkeys(sketch_arrays(other.sketches)))
        merged, left_out = merge_scans([scan, bare])
        assert merged.sketches is None
        assert left_out == ["sketches"]


class TestNetworks:
    def test_models_with_the_shapes_of_their_weights(self, tmp_path):
        unknown = {"in_channels": None, "groups": None, "out_channels": 5, "n_kernels": 40}
        networks = networks_of(made_scan(tmp_path, {"a": 2, "b": 1}, told={("b", 0): unknown}))
        assert list(networks.names) == ["a", "b"]
        assert networks.shapes == [(10, 4, 3, 3), (10, 4, 3, 3), (5, 8, 3, 3)]
        assert networks.layers == ["conv0.weight", "conv1.weight", "conv0.weight"]
        assert networks.owner.tolist() == [0, 0, 1]
        assert networks.sums.tolist() == [[10, 3, 1], [10, 3, 2], [10, 3, 1]]

    def test_sums_that_no_quality_took_are_unknown(self, tmp_path):
        told = {("a", 0): {"l1": 0.0, "l2": 0.0}}
        told[("a", 1)] = {"l1": 0.0, "l2": 0.0, "max_abs": 0.0}  # a layer of zeros
        networks = networks_of(made_scan(tmp_path, {"a": 2}, told=told))
        assert np.isnan(networks.sums[0]).all()
        assert networks.sums[1].tolist() == [0, 0, 0]

    def test_layers_of_a_model_that_are_apart_are_brought_together(self, scan):
        order = np.array([0, 3, 1, 4, 2, 5, 6, 7])
        apart = dataclasses.replace(scan, layer_table=scan.layer_table.take(order))
        apart = replaced(apart, **sketch_arrays(scan.sketches.take(order)))
        networks = networks_of(apart)
        assert (np.diff(networks.owner) >= 0).all()
        assert list(networks.names) == ["a.pt", "b.pt", "c.pt"]
        assert same_sketches(networks.sketches, scan.sketches)


def read_arrays(folder):
    return dict(open_scan(folder).arrays)


def minus(array):
    return -1 - array


DAMAGED = {
    "no rows": (lambda x: x.pop("sketch.rows"), "together, found not all of them"),
    "too wide": (lambda x: x.update(sketch=x["sketch"][:, 1:].copy()), "width = 64"),
    "another type": (lambda x: x.update(sketch=x["sketch"].astype(np.int16)), "sketch as int8"),
    "three rows": (lambda x: x["sketch.rows"].__setitem__(0, 3), "powers of two from 1 to 64"),
    "huge": (lambda x: x["sketch.rows"].__setitem__(0, 2**62), "powers of two from 1 to 64"),
    "too few": (lambda x: x["sketch.rows"].__setitem__(0, 1), "rows of sketch in sketch.rows"),
    "negative kernels": (lambda x: x.update({"sketch.kernels": minus(x["sketch.kernels"])}), "no"),
    "a layer that is not there": (lambda x: x["kernel_hash.layer"].__setitem__(-1, 8), "below 8"),
    "no order": (lambda x: x["kernel_hash.layer"].__setitem__(0, 7), "in ascending order"),
    "not a number": (lambda x: x["sketch.spread"].__setitem__(0, np.nan), "finite numbers"),
    "infinite": (lambda x: x["sketch.zeros"].__setitem__(0, np.inf), "finite numbers"),
    "no hash": (lambda x: x.update(kernel_hash=x["kernel_hash"][1:].copy()), "hashes"),
}


class TestRefusals:
    @pytest.mark.parametrize("damage", DAMAGED)
    def test_of_a_folder(self, tmp_path, damage):
        change, reason = DAMAGED[damage]
        scan = made_scan(tmp_path / "scan", SIZES)
        save_folder(scan)
        path = scan.folder / "arrays.safetensors"
        arrays = load_file(path)
        change(arrays)
        save_file(arrays, path)
        with pytest.raises(CheckpointError) as caught:
            read_arrays(scan.folder)
        assert reason in str(caught.value)

    @pytest.mark.parametrize("damage", [*DAMAGED][3:-1])
    def test_of_a_bundle(self, tmp_path, damage):
        change, reason = DAMAGED[damage]
        scan = made_scan(tmp_path / "scan", SIZES)
        arrays = {name: np.array(array) for name, array in sketch_arrays(scan.sketches).items()}
        change(arrays)
        save_bundle(replaced(scan, **arrays), tmp_path / "x.bundle")
        with pytest.raises(CheckpointError) as caught:
            open_scan(tmp_path / "x.bundle")
        assert reason in str(caught.value)

    @pytest.mark.parametrize("shape", [(65, 64), (1, 63)])
    def test_more_rows_than_its_layers_can_have(self, tmp_path, shape):
        scan = made_scan(tmp_path, {"a": 1})
        many = replaced(scan, sketch=np.zeros(shape, np.int8))
        save_bundle(many, tmp_path / "x.bundle")
        with pytest.raises(CheckpointError, match="expected sketch of 1 layers"):
            open_scan(tmp_path / "x.bundle")


class TestBundle:
    def test_networks_without_any_hash(self, scan, tmp_path):
        nothing = np.zeros(0, np.int64)
        bare = replaced(scan, **{"kernel_hash": nothing, "kernel_hash.layer": nothing})
        save_bundle(bare, tmp_path / "x.bundle")
        assert same_sketches(open_scan(tmp_path / "x.bundle").sketches, bare.sketches)
