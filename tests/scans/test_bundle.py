"""Bundles: exact, small, taken for the scan they were made of; hostile ones are refused."""

import contextlib
import json
import lzma

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jfilters import CheckpointError
from jfilters.scans import open_scan, save_bundle, where, with_metadata
from jfilters.statistics import load_basis

from .scans import made_scan, moment_arrays, real_scan, replaced, same


@pytest.fixture
def scan(tmp_path):
    return made_scan(tmp_path, {"a.pt": 3, "b/c.pt": 2})


@pytest.fixture
def bundle(scan, tmp_path):
    save_bundle(scan, tmp_path / "x.bundle")
    return tmp_path / "x.bundle"


def told_by(bundle):
    with safe_open(bundle, framework="numpy") as file:
        return json.loads(file.metadata()["jfilters.bundle"])


def rewrite(bundle, *, told=None, **changed):
    told = told if isinstance(told, str) else json.dumps(told_by(bundle) | (told or {}))
    arrays = {
        name: value for name, value in (load_file(bundle) | changed).items() if value is not None
    }
    save_file(arrays, bundle, {"jfilters.bundle": told})


def coded(data):
    return np.frombuffer(lzma.compress(data), np.uint8)


def tables(bundle):
    return json.loads(lzma.decompress(load_file(bundle)["tables"].tobytes()))


class TestExactness:
    def test_everything_but_samples_and_raw_moments_comes_back(self, scan, bundle):
        found = open_scan(bundle)
        assert same(found, scan, moments=["normalized"], sample=False)
        assert (found.folder, found.sample, set(found.moments)) == (bundle, None, {"normalized"})

    def test_what_a_real_scan_wrote(self, tmp_path):
        folder = real_scan(tmp_path)
        scan = open_scan(folder)
        save_bundle(scan, tmp_path / "x.bundle")
        assert same(open_scan(tmp_path / "x.bundle"), scan, moments=["normalized"], sample=False)

    @given(
        st.lists(st.sampled_from([0, 1, 255, 256, 2**31, 2**62, 2**63 - 1]), min_size=5, max_size=5)
    )
    def test_counts_of_any_size(self, tmp_path_factory, counts):
        folder = tmp_path_factory.mktemp("x")
        scan = made_scan(folder, {"a": 5})
        scan.histogram[:, 3, 7] = counts
        save_bundle(scan, folder / "x.bundle")
        np.testing.assert_array_equal(open_scan(folder / "x.bundle").histogram, scan.histogram)

    def test_metadata_travels_with_its_types(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,task,n,x,robust\na.pt,größe,1,0.1,true\n")
        told, _ = with_metadata(scan, tmp_path / "m.csv")
        save_bundle(told, tmp_path / "x.bundle")
        assert open_scan(tmp_path / "x.bundle").layer_table.equals(told.layer_table)

    def test_a_scan_without_quality(self, scan, tmp_path):
        nothing = dict.fromkeys(["sparse_histogram", "sparse_at", "sparse_eps"])
        moments = dict.fromkeys(moment_arrays(scan.moments))
        bare = replaced(scan, **moments, **nothing)
        save_bundle(bare, tmp_path / "x.bundle")
        assert same(open_scan(tmp_path / "x.bundle"), bare, moments=[], sample=False)

    def test_some_layers_of_a_scan(self, scan, tmp_path):
        part = scan.only(where(scan, "depth > 0"))
        save_bundle(part, tmp_path / "x.bundle")
        assert same(open_scan(tmp_path / "x.bundle"), part, moments=["normalized"], sample=False)

    def test_the_same_scan_makes_the_same_bytes(self, scan, bundle, tmp_path):
        save_bundle(scan, tmp_path / "again.bundle")
        assert bundle.read_bytes() == (tmp_path / "again.bundle").read_bytes()

    def test_it_is_a_basis_file_too(self, scan, bundle):
        np.testing.assert_array_equal(load_basis(bundle).components, scan.basis.components)

    def test_real_counts_take_less_than_half_a_kilobyte_a_layer(self, tmp_path):
        save_bundle(open_scan(real_scan(tmp_path, [*"abcdefgh"])), tmp_path / "x.bundle")
        with safe_open(tmp_path / "x.bundle", framework="numpy") as file:
            assert file.get_tensor("histogram").nbytes < 16 * 512


class TestRefusals:
    def refused(self, bundle, said):
        with pytest.raises(CheckpointError) as caught:
            open_scan(bundle)
        assert str(bundle) in str(caught.value)
        assert said in str(caught.value)

    def test_another_version(self, bundle):
        rewrite(bundle, told={"version": 2})
        self.refused(bundle, "expected a bundle of version 1, found version 2; `jfilters bundle")

    @pytest.mark.parametrize("name", ["tables", "histogram", "edges", "basis.mean"])
    def test_a_part_is_missing(self, bundle, name):
        rewrite(bundle, **{name: None})
        self.refused(bundle, name)

    @pytest.mark.parametrize("cut", [1, 9, 100, 1000])
    def test_a_cut_file(self, bundle, cut):
        bundle.write_bytes(bundle.read_bytes()[:-cut])
        self.refused(bundle, "expected a bundle")

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b"{}", b'{"layers": 1, "models": 2}', b"[" * 10**6]
    )
    def test_tables_that_are_none(self, bundle, data):
        rewrite(bundle, tables=coded(data))
        self.refused(bundle, "expected")

    def test_text_that_is_not_compressed(self, bundle):
        rewrite(bundle, tables=np.zeros(100, np.uint8))
        self.refused(bundle, "compressed by LZMA")

    def test_a_column_of_no_known_type(self, bundle):
        stored = tables(bundle)
        stored["layers"]["types"]["model"] = "dictionary"
        rewrite(bundle, tables=coded(json.dumps(stored).encode()))
        self.refused(bundle, "expected a bundle")

    def test_a_record_that_is_none(self, bundle):
        rewrite(bundle, tables=coded(json.dumps(tables(bundle) | {"record": {}}).encode()))
        self.refused(bundle, "expected the record of a scan")

    def test_more_data_than_its_shape(self, bundle):
        rewrite(bundle, histogram=coded(bytes(10**6)))
        self.refused(bundle, "histogram")

    @pytest.mark.parametrize(
        "shape",
        [["<i8", 5, 9, 71], ["<i8", 2**40, 9, 70], ["<i8", 5, 2**31, 2**31], ["<i8"], ["O", 5]],
    )
    def test_shapes_that_do_not_fit(self, bundle, shape):
        rewrite(bundle, told={"shapes": told_by(bundle)["shapes"] | {"histogram": shape}})
        self.refused(bundle, "expected")

    @pytest.mark.parametrize("shapes", [1, [], {}, {"x": 1}, {"x": []}, {"edges": ["<f8", 71]}])
    def test_shapes_that_are_none(self, bundle, shapes):
        rewrite(bundle, told={"shapes": shapes})
        self.refused(bundle, "expected")

    @pytest.mark.parametrize("text", ["", "1", "[]", "{}", "[" * 10**5, '{"version": 1}'])
    def test_a_head_that_is_none(self, bundle, text):
        rewrite(bundle, told=text)
        self.refused(bundle, "expected")

    @given(st.data())
    def test_a_flipped_byte_is_refused_or_changes_numbers_only(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("x")
        save_bundle(made_scan(folder, {"a": 1}), folder / "x.bundle")
        stored = bytearray((folder / "x.bundle").read_bytes())
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
        (folder / "x.bundle").write_bytes(stored)
        with contextlib.suppress(CheckpointError):
            assert open_scan(folder / "x.bundle").model_names == ["a"]
