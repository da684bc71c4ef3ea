"""Card files: exact, small, taken for the scan they were made of; hostile ones are refused."""

import contextlib
import dataclasses
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

from .scans import made_scan, real_scan, same


@pytest.fixture
def scan(tmp_path):
    return made_scan(tmp_path, {"a.pt": 3, "b/c.pt": 2})


@pytest.fixture
def card(scan, tmp_path):
    save_bundle(scan, tmp_path / "x.card")
    return tmp_path / "x.card"


def told_by(card):
    with safe_open(card, framework="numpy") as file:
        return json.loads(file.metadata()["jfilters.card"])


def rewrite(card, *, told=None, **changed):
    told = told if isinstance(told, str) else json.dumps(told_by(card) | (told or {}))
    arrays = {
        name: value for name, value in (load_file(card) | changed).items() if value is not None
    }
    save_file(arrays, card, {"jfilters.card": told})


def coded(data):
    return np.frombuffer(lzma.compress(data), np.uint8)


def tables(card):
    return json.loads(lzma.decompress(load_file(card)["tables"].tobytes()))


class TestExactness:
    def test_everything_but_samples_and_raw_moments_comes_back(self, scan, card):
        found = open_scan(card)
        assert same(found, scan, moments=["normalized"], sample=False)
        assert (found.folder, found.sample, set(found.moments)) == (card, None, {"normalized"})

    def test_what_a_real_scan_wrote(self, tmp_path):
        folder = real_scan(tmp_path)
        scan = open_scan(folder)
        save_bundle(scan, tmp_path / "x.card")
        assert same(open_scan(tmp_path / "x.card"), scan, moments=["normalized"], sample=False)

    @given(
        st.lists(st.sampled_from([0, 1, 255, 256, 2**31, 2**62, 2**63 - 1]), min_size=5, max_size=5)
    )
    def test_counts_of_any_size(self, tmp_path_factory, counts):
        folder = tmp_path_factory.mktemp("x")
        scan = made_scan(folder, {"a": 5})
        scan.histogram[:, 3, 7] = counts
        save_bundle(scan, folder / "x.card")
        np.testing.assert_array_equal(open_scan(folder / "x.card").histogram, scan.histogram)

    def test_metadata_travels_with_its_types(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,task,n,x,robust\na.pt,größe,1,0.1,true\n")
        told, _ = with_metadata(scan, tmp_path / "m.csv")
        save_bundle(told, tmp_path / "x.card")
        assert open_scan(tmp_path / "x.card").layer_table.equals(told.layer_table)

    def test_a_scan_without_quality(self, scan, tmp_path):
        nothing = dict.fromkeys(["sparse_histogram", "sparse_at", "sparse_eps"])
        bare = replaced(scan, moments={}, **nothing)
        save_bundle(bare, tmp_path / "x.card")
        assert same(open_scan(tmp_path / "x.card"), bare, moments=[], sample=False)

    def test_some_layers_of_a_scan(self, scan, tmp_path):
        part = scan.only(where(scan, "depth > 0"))
        save_bundle(part, tmp_path / "x.card")
        assert same(open_scan(tmp_path / "x.card"), part, moments=["normalized"], sample=False)

    def test_the_same_scan_makes_the_same_bytes(self, scan, card, tmp_path):
        save_bundle(scan, tmp_path / "again.card")
        assert card.read_bytes() == (tmp_path / "again.card").read_bytes()

    def test_it_is_a_basis_file_too(self, scan, card):
        np.testing.assert_array_equal(load_basis(card).components, scan.basis.components)

    def test_real_counts_take_less_than_half_a_kilobyte_a_layer(self, tmp_path):
        save_bundle(open_scan(real_scan(tmp_path, [*"abcdefgh"])), tmp_path / "x.card")
        with safe_open(tmp_path / "x.card", framework="numpy") as file:
            assert file.get_tensor("histogram").nbytes < 16 * 512


class TestRefusals:
    def refused(self, card, said):
        with pytest.raises(CheckpointError) as caught:
            open_scan(card)
        assert str(card) in str(caught.value)
        assert said in str(caught.value)

    def test_another_version(self, card):
        rewrite(card, told={"version": 2})
        self.refused(card, "expected a card file of version 1, found version 2; `jfilters card")

    @pytest.mark.parametrize("name", ["tables", "histogram", "edges", "basis.mean"])
    def test_a_part_is_missing(self, card, name):
        rewrite(card, **{name: None})
        self.refused(card, name)

    @pytest.mark.parametrize("cut", [1, 9, 100, 1000])
    def test_a_cut_file(self, card, cut):
        card.write_bytes(card.read_bytes()[:-cut])
        self.refused(card, "expected a card file")

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b"{}", b'{"layers": 1, "models": 2}', b"[" * 10**6]
    )
    def test_tables_that_are_none(self, card, data):
        rewrite(card, tables=coded(data))
        self.refused(card, "expected")

    def test_text_that_is_not_compressed(self, card):
        rewrite(card, tables=np.zeros(100, np.uint8))
        self.refused(card, "compressed by LZMA")

    def test_a_column_of_no_known_type(self, card):
        stored = tables(card)
        stored["layers"]["types"]["model"] = "dictionary"
        rewrite(card, tables=coded(json.dumps(stored).encode()))
        self.refused(card, "expected a card file")

    def test_a_record_that_is_none(self, card):
        rewrite(card, tables=coded(json.dumps(tables(card) | {"record": {}}).encode()))
        self.refused(card, "expected the record of a scan")

    def test_more_data_than_its_shape(self, card):
        rewrite(card, histogram=coded(bytes(10**6)))
        self.refused(card, "histogram")

    @pytest.mark.parametrize(
        "shape",
        [["<i8", 5, 9, 71], ["<i8", 2**40, 9, 70], ["<i8", 5, 2**31, 2**31], ["<i8"], ["O", 5]],
    )
    def test_shapes_that_do_not_fit(self, card, shape):
        rewrite(card, told={"shapes": told_by(card)["shapes"] | {"histogram": shape}})
        self.refused(card, "expected")

    @pytest.mark.parametrize("shapes", [1, [], {}, {"x": 1}, {"x": []}, {"edges": ["<f8", 71]}])
    def test_shapes_that_are_none(self, card, shapes):
        rewrite(card, told={"shapes": shapes})
        self.refused(card, "expected")

    @pytest.mark.parametrize("text", ["", "1", "[]", "{}", "[" * 10**5, '{"version": 1}'])
    def test_a_head_that_is_none(self, card, text):
        rewrite(card, told=text)
        self.refused(card, "expected")

    @given(st.data())
    def test_a_flipped_byte_is_refused_or_changes_numbers_only(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("x")
        save_bundle(made_scan(folder, {"a": 1}), folder / "x.card")
        stored = bytearray((folder / "x.card").read_bytes())
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
        (folder / "x.card").write_bytes(stored)
        with contextlib.suppress(CheckpointError):
            assert open_scan(folder / "x.card").model_names == ["a"]
