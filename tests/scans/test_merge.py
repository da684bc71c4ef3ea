"""Merging scans and bundles: exact, in any order, with names kept apart, and only where it can be done."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.engine import Options, scan_into
from jfilters.scans import merge_scans, open_scan, save_bundle, where, with_metadata
from jfilters.scans.internal import check_comparable, write_scan
from jfilters.statistics import load_basis

from .scans import made_scan, real_scan, replaced, same


@pytest.fixture
def scan(tmp_path):
    return made_scan(tmp_path / "one", {"a": 2, "b": 3, "c": 1})


def other(tmp_path, sizes, seed=1):
    return made_scan(tmp_path / "two", sizes, seed=seed)


def by_model(scan):
    return {
        name: scan.histogram[scan.model_of_layer == i].tolist()
        for i, name in enumerate(scan.model_names)
    }


class TestExactness:
    @given(st.lists(st.booleans(), min_size=3, max_size=3))
    def test_a_scan_in_two_parts_is_the_scan(self, tmp_path_factory, chosen):
        scan = made_scan(tmp_path_factory.getbasetemp(), {"a": 2, "b": 3, "c": 1})
        mask = np.array(chosen)[scan.model_of_layer]
        merged, lost = merge_scans([scan.only(mask), scan.only(~mask)])
        assert lost == []
        assert by_model(merged) == by_model(scan)
        assert (
            sorted(merged.model_table.to_pylist(), key=lambda row: row["model"])
            == scan.model_table.to_pylist()
        )
        assert len(merged.record["checkpoints"]) == 3
        for row in range(6):
            mine = np.sort(merged.sample[merged.sample_layer == row], axis=None)
            name, layer = (merged.layer_table[column][row].as_py() for column in ("model", "layer"))
            source = int(
                np.flatnonzero(where(scan, f"model == '{name}' and layer == '{layer}'"))[0]
            )
            theirs = np.sort(scan.sample[scan.sample_layer == source], axis=None)
            np.testing.assert_array_equal(mine, theirs)

    def test_models_of_both(self, scan, tmp_path):
        merged, _ = merge_scans([scan, other(tmp_path, {"d": 2})])
        assert merged.model_names == ["a", "b", "c", "d"]
        assert merged.record["totals"]["layers"] == 8
        assert merged.record["totals"]["kernels"] == 320
        assert merged.record["totals"]["ok"] == 4
        assert [source["source"] for source in merged.record["merged"]] == [
            str(tmp_path / "one"),
            str(tmp_path / "two"),
        ]

    def test_one_alone_is_itself(self, scan):
        merged, _ = merge_scans([scan])
        assert by_model(merged) == by_model(scan)

    def test_scans_in_one_basis_merge_to_the_scan_of_all(self, tmp_path):
        """Two machines with the basis of a third: as if one had scanned all."""
        whole = real_scan(tmp_path / "whole", ["a", "b"])
        basis = load_basis(whole / "arrays.safetensors")
        for name in "ab":
            source = tmp_path / f"whole/in/{name}.safetensors"
            scan_into(tmp_path / name, str(source), Options(), basis=basis)
        merged, _ = merge_scans([open_scan(tmp_path / "a"), open_scan(tmp_path / "b")])
        expected = open_scan(whole)
        np.testing.assert_array_equal(merged.histogram, expected.histogram)
        assert merged.model_table.equals(expected.model_table)

    def test_it_is_written_as_a_folder_and_as_a_bundle(self, scan, tmp_path):
        merged, _ = merge_scans([scan, other(tmp_path, {"d": 2})])
        write_scan(merged, tmp_path / "out")
        assert same(open_scan(tmp_path / "out"), merged)
        save_bundle(merged, tmp_path / "x.bundle")
        assert same(open_scan(tmp_path / "x.bundle"), merged, moments=["normalized"], sample=False)

    def test_a_folder_with_a_scan_is_left_alone(self, scan, tmp_path):
        write_scan(scan, tmp_path / "out")
        with pytest.raises(CheckpointError, match="holds a scan already; name another folder"):
            write_scan(scan, tmp_path / "out")


class TestNames:
    def test_the_same_content_is_kept_once(self, scan):
        merged, _ = merge_scans([scan, dataclasses.replace(scan, folder=scan.folder / "copy")])
        assert by_model(merged) == by_model(scan)
        assert merged.record["totals"]["checkpoints"] == 3

    def test_other_content_of_the_same_name_gets_that_of_its_source(self, scan, tmp_path):
        merged, _ = merge_scans([scan, other(tmp_path, {"b": 3, "d": 1})])
        assert merged.model_names == ["a", "one/b", "c", "two/b", "d"]
        names = [entry["model"] for entry in merged.record["checkpoints"]]
        assert names == merged.model_names == merged.model_table["model"].to_pylist()

    def test_sources_of_one_name_are_numbered(self, scan, tmp_path):
        second = made_scan(tmp_path / "x/one", {"a": 1}, seed=1)
        merged, _ = merge_scans([scan, second])
        assert merged.model_names == ["one/a", "b", "c", "one-2/a"]

    def test_of_three_sources_equal_ones_are_kept_once(self, scan, tmp_path):
        copy = dataclasses.replace(scan, folder=tmp_path / "copy")
        merged, _ = merge_scans([scan, other(tmp_path, {"a": 2}), copy])
        assert merged.model_names == ["one/a", "b", "c", "two/a"]

    def test_without_hashes_equal_bundles_are_the_same_content(self, scan, tmp_path):
        def without(found):
            entries = [{**entry, "sha256": None} for entry in found.record["checkpoints"]]
            return dataclasses.replace(found, record={**found.record, "checkpoints": entries})

        merged, _ = merge_scans([without(scan), without(scan)])
        assert merged.model_names == ["a", "b", "c"]
        merged, _ = merge_scans([without(scan), without(other(tmp_path, {"a": 2}))])
        assert merged.model_names == ["one/a", "b", "c", "two/a"]

    def test_members_of_a_population_go_by_the_hash_of_their_file(self, tmp_path):
        def of_file(scan, sha256):
            entries = [{"model": "all.h5", "sha256": sha256, "status": "ok", "bytes": 1}]
            return dataclasses.replace(scan, record={**scan.record, "checkpoints": entries})

        first = of_file(made_scan(tmp_path / "one", {"all.h5/x": 1, "all.h5/y": 1}), "1")
        same_file = of_file(other(tmp_path, {"all.h5/x": 1}), "1")
        assert merge_scans([first, same_file])[0].model_names == ["all.h5/x", "all.h5/y"]
        another = of_file(other(tmp_path, {"all.h5/x": 1}), "2")
        merged = merge_scans([first, another])[0]
        assert merged.model_names == ["one/all.h5/x", "all.h5/y", "two/all.h5/x"]

    def test_a_name_that_would_be_twice(self, scan, tmp_path):
        sizes = {"a": 1, "one/a": 1}
        with pytest.raises(ValueError, match="two models would be called 'one/a'; rename one"):
            merge_scans([scan, other(tmp_path, sizes)])


class TestTables:
    def test_columns_of_metadata_are_those_of_all(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,task,n\n*,seg,1\n")
        (tmp_path / "n.csv").write_text("model,n\n*,x\n")
        first, _ = with_metadata(scan, tmp_path / "m.csv")
        second, _ = with_metadata(other(tmp_path, {"d": 1}), tmp_path / "n.csv")
        merged, _ = merge_scans([first, second])
        assert merged.layer_table["task"].to_pylist() == ["seg"] * 6 + [None]
        assert merged.layer_table["n"].to_pylist() == ["1"] * 6 + ["x"]

    def test_what_not_all_have_is_left_out_and_said(self, scan, tmp_path):
        save_bundle(other(tmp_path, {"d": 1}), tmp_path / "x.bundle")
        merged, lost = merge_scans([scan, open_scan(tmp_path / "x.bundle")])
        assert lost == ["sample", "raw moments", "clean moments"]
        assert (merged.sample, set(merged.moments)) == (None, {"normalized"})

    def test_counts_at_other_eps_are_left_out(self, scan, tmp_path):
        second = replaced(other(tmp_path, {"d": 1}), sparse_eps=np.array([0.1, 0.2, 0.3]))
        merged, lost = merge_scans([scan, second])
        assert lost == ["sparse_at"]
        assert merged.sparse_at is merged.sparse_eps is None


class TestRefusals:
    def test_nothing(self):
        with pytest.raises(ValueError, match="expected scans or bundles to merge, got none"):
            merge_scans([])

    def test_another_size(self, scan):
        record = {**scan.record, "config": {"spatial": [5, 5]}}
        with pytest.raises(ValueError, match=r"3x3 in .* and 5x5 in .*; scan one .* --spatial"):
            merge_scans([scan, dataclasses.replace(scan, record=record)])

    def test_another_basis(self, scan, tmp_path):
        second = made_scan(tmp_path / "two", {"d": 1}, basis_seed=1)
        with pytest.raises(
            ValueError, match=r"their bases differ in components by up to \d.*--basis"
        ):
            merge_scans([scan, second])

    def test_the_largest_difference_is_told(self, scan):
        mean = scan.basis.mean + np.array([0] * 8 + [0.25])
        with pytest.raises(ValueError, match=r"their bases differ in mean by up to 0\.25"):
            check_comparable(scan, replaced(scan, **{"basis.mean": mean}))

    def test_other_edges(self, scan):
        second = replaced(scan, edges=scan.edges * 2)
        with pytest.raises(ValueError, match=r"edges differ by up to 3\.3; .* --range fixed"):
            merge_scans([scan, second])
        second = replaced(
            scan,
            edges=scan.edges[:-1],
            histogram=scan.histogram[..., 1:],
            sparse_histogram=scan.sparse_histogram[..., 1:],
        )
        with pytest.raises(ValueError, match=r"70 bins against 69; .* --range fixed"):
            merge_scans([scan, second])

    def test_another_meaning_of_sparse(self, scan):
        record = {**scan.record, "config": {**scan.record["config"], "sparse_eps": 0.02}}
        with pytest.raises(ValueError, match=r"sparse_eps is 0\.01 in one and 0\.02 in the other"):
            merge_scans([scan, dataclasses.replace(scan, record=record)])


class TestMarksOfTheSample:
    def test_an_earlier_scan_drew_all_of_its_sample_evenly(self, scan, tmp_path):
        is_even = np.arange(len(scan.sample)) % 2 == 0
        marked = replaced(scan, **{"sample.is_even": is_even})
        for parts in ([marked, other(tmp_path, {"d": 1})], [other(tmp_path, {"d": 1}), marked]):
            merged, lost = merge_scans(parts)
            assert lost == []
            assert len(merged.even_sample[0]) == is_even.sum() + 5
            assert len(merged.sample) == len(is_even) + 5

    def test_a_part_of_a_scan_has_the_marks_of_its_kernels(self, scan):
        is_even = np.arange(len(scan.sample)) % 3 == 0
        marked = replaced(scan, **{"sample.is_even": is_even})
        mask = scan.model_of_layer != 1
        expected = scan.sample[is_even & mask[scan.sample_layer]]
        np.testing.assert_array_equal(marked.only(mask).even_sample[0], expected)
