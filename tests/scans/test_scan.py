"""A written scan read back: what it holds, what is left of it for some layers, and what is refused."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from jfilters import CheckpointError
from jfilters.errors import UnreadableError
from jfilters.scans import open_scan
from jfilters.scans.internal import verdict_counts, verdicts_text

from .scans import made_scan, real_scan, rewrite_record

SIZES = {"a.pt": 3, "b.pt": 1, "c/d.pt": 4}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    return real_scan(tmp_path_factory.mktemp("scan"))


@pytest.fixture
def folder(scanned, tmp_path):
    return shutil.copytree(scanned, tmp_path / "out")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_scan(tmp_path_factory.mktemp("made"), SIZES)


def change_arrays(folder, change):
    arrays = load_file(folder / "arrays.safetensors")
    change(arrays)
    save_file(arrays, folder / "arrays.safetensors")


def read_arrays(folder):
    """All arrays of a folder: their numbers are checked when they are first read."""
    return dict(open_scan(folder).arrays)


class TestOpening:
    def test_it_holds_what_the_files_hold(self, scanned):
        scan = open_scan(scanned)
        arrays = load_file(scanned / "arrays.safetensors")
        assert (scan.spatial, scan.d, scan.folder) == ((3, 3), 9, scanned)
        assert scan.model_names == ["a.safetensors", "b.safetensors"]
        np.testing.assert_array_equal(scan.model_of_layer, [0, 0, 1, 1])
        assert scan.layer_table.equals(pq.read_table(scanned / "layers.parquet"))
        assert scan.model_table.equals(pq.read_table(scanned / "models.parquet"))
        np.testing.assert_array_equal(scan.histogram, arrays["histogram"])
        np.testing.assert_array_equal(scan.edges, arrays["edges"])
        np.testing.assert_array_equal(scan.basis.components, arrays["basis.components"])
        for name in ("normalized", "raw", "clean"):
            np.testing.assert_array_equal(scan.moments[name].scatter, arrays[f"{name}.scatter"])
        assert scan.record == json.loads((scanned / "scan.json").read_text("utf-8"))

    def test_of_every_kernel_a_component_is_counted_once(self, scanned):
        scan = open_scan(scanned)
        counted = scan.histogram.sum(axis=2)
        expected = np.array(scan.layer_table["n_kernels"].to_pylist())
        np.testing.assert_array_equal(counted, np.tile(expected[:, None], (1, 9)))

    def test_what_a_scan_did_not_keep_is_none(self, folder):
        def strip(arrays):
            for name in set(arrays) - {"histogram", "edges"}:
                if not name.startswith(("basis.", "normalized.")):
                    del arrays[name]

        change_arrays(folder, strip)
        scan = open_scan(folder)
        assert set(scan.moments) == {"normalized"}
        assert scan.sparse_histogram is scan.sparse_at is scan.sparse_eps is None
        assert scan.sample is scan.sample_layer is None
        part = scan.only(np.array([True, False, False, True]))
        assert part.sparse_histogram is part.sparse_at is part.sample is part.sample_layer is None


class TestRefusals:
    def test_no_scan_says_what_to_run(self, tmp_path):
        with pytest.raises(UnreadableError, match=r"expected the folder of a scan.*jfilters scan"):
            open_scan(tmp_path / "nowhere")

    def test_an_unfinished_scan(self, folder):
        (folder / "scan.json").unlink()
        with pytest.raises(UnreadableError, match="expected a finished scan"):
            open_scan(folder)

    def test_another_safetensors_file_is_no_bundle(self, folder):
        with pytest.raises(CheckpointError, match=r"expected a bundle.*jfilters bundle"):
            open_scan(folder / "arrays.safetensors")

    @pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"config": {}}', "[" * 100_000])
    def test_a_record_that_is_none(self, folder, text):
        (folder / "scan.json").write_text(text)
        with pytest.raises(CheckpointError, match="expected the record of a scan"):
            open_scan(folder)

    @pytest.mark.parametrize("spatial", [[], [0], ["3"], [3, -3], 9])
    def test_a_record_of_no_kernel_size(self, folder, spatial):
        rewrite_record(folder, lambda record: record["config"].update(spatial=spatial))
        with pytest.raises(CheckpointError, match="expected the record of a scan"):
            open_scan(folder)

    def test_no_kernels(self, folder):
        rewrite_record(folder, lambda record: record["totals"].update(layers=0))
        with pytest.raises(CheckpointError, match=r"expected 3x3 kernels that vary.*--spatial"):
            open_scan(folder)

    def test_files_of_two_scans(self, folder):
        rewrite_record(folder, lambda record: record["totals"].update(layers=9))
        said = r"the 9 layers of scan\.json, found 4.*jfilters scan"
        with pytest.raises(CheckpointError, match=said):
            open_scan(folder)

    def test_another_size(self, folder):
        rewrite_record(folder, lambda record: record["config"].update(spatial=[5, 5]))
        with pytest.raises(CheckpointError, match="expected a basis of 25 taps, found 9"):
            open_scan(folder)

    def test_a_table_that_is_none(self, folder):
        (folder / "layers.parquet").write_bytes(b"PAR1")
        with pytest.raises(CheckpointError, match=r"layers\.parquet: expected a Parquet file"):
            open_scan(folder)
        (folder / "layers.parquet").unlink()
        with pytest.raises(UnreadableError, match=r"layers\.parquet: expected a table"):
            open_scan(folder)

    @pytest.mark.parametrize(("name", "column"), [("layers", "depth"), ("models", "n_degenerate")])
    def test_a_table_without_a_column(self, folder, name, column):
        path = folder / f"{name}.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)
        with pytest.raises(CheckpointError, match=f"expected a column {column}"):
            open_scan(folder)

    @pytest.mark.parametrize(("column", "value"), [("verdict", "fine"), ("depth", None)])
    def test_a_table_with_a_value_that_no_scan_writes(self, folder, column, value):
        path = folder / "layers.parquet"
        table = pq.read_table(path)
        place, kind = table.column_names.index(column), table.schema.field(column).type
        values = pa.array([value, *table[column].to_pylist()[1:]], kind)
        pq.write_table(table.set_column(place, column, values), path)
        with pytest.raises(CheckpointError, match=f"expected (a )?{column}"):
            open_scan(folder)

    @pytest.mark.parametrize(
        "entry", [1, {}, {"model": 1}, {"model": "a", "sha256": []}, {"model": "a", "bytes": "1"}]
    )
    def test_a_record_of_other_checkpoints(self, folder, entry):
        rewrite_record(folder, lambda record: record.update(checkpoints=[entry]))
        with pytest.raises(CheckpointError, match="expected the record of a scan"):
            open_scan(folder)

    def test_tables_of_other_models(self, folder):
        path = folder / "models.parquet"
        pq.write_table(pq.read_table(path).slice(1), path)
        with pytest.raises(CheckpointError, match="the same models in both tables"):
            open_scan(folder)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda x: x.pop("histogram"), "expected an array histogram"),
            (lambda x: x.update(histogram=x["histogram"][1:]), "expected histogram as int64"),
            (lambda x: x.update(histogram=x["histogram"].astype(np.int32)), "found int32"),
            (lambda x: x.update(histogram=-x["histogram"]), "no negative number in histogram"),
            (lambda x: x.update(edges=x["edges"][1:]), "expected edges as float64 (edges = 71)"),
            (lambda x: x.update(edges=x["edges"][::-1].copy()), "edges that rise"),
            (lambda x: x.pop("raw.mean"), "together, found not all of them"),
            (lambda x: x.update({"raw.mean": x["raw.mean"][:, 1:].copy()}), "raw.mean as float64"),
            (lambda x: x.pop("basis.mean"), "the arrays of a basis"),
        ],
    )
    def test_arrays_that_do_not_fit(self, folder, change, said):
        change_arrays(folder, change)
        with pytest.raises(CheckpointError) as caught:
            read_arrays(folder)
        assert said in str(caught.value)
        assert str(folder) in str(caught.value)

    def test_a_sample_of_layers_that_are_not_there(self, folder):
        sample = {"sample": np.zeros((2, 9), np.float32), "sample.layer": np.array([0, 4])}
        change_arrays(folder, lambda arrays: arrays.update(sample))
        with pytest.raises(CheckpointError, match=r"expected sample\.layer below 4"):
            read_arrays(folder)

    def test_cut_arrays(self, folder):
        path = folder / "arrays.safetensors"
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(CheckpointError, match="expected a safetensors file"):
            open_scan(folder)


class TestOnly:
    @given(st.lists(st.booleans(), min_size=8, max_size=8))
    def test_everything_keeps_the_order_of_the_layers(self, made, chosen):
        mask = np.array(chosen)
        part = made.only(mask)
        rows = np.flatnonzero(mask)
        assert part.layer_table.equals(made.layer_table.take(rows))
        names = [made.model_names[made.model_of_layer[row]] for row in rows]
        assert part.model_names == list(dict.fromkeys(names))
        assert [part.model_names[i] for i in part.model_of_layer] == names
        assert part.model_table["model"].to_pylist() == part.model_names
        for name in ("histogram", "sparse_histogram", "sparse_at"):
            np.testing.assert_array_equal(getattr(part, name), getattr(made, name)[rows])
        np.testing.assert_array_equal(part.moments["raw"].mean, made.moments["raw"].mean[rows])
        for place, row in enumerate(rows):
            mine = part.sample[part.sample_layer == place]
            np.testing.assert_array_equal(mine, made.sample[made.sample_layer == row])

    def test_of_all_layers_it_is_the_scan_as_written(self, scanned):
        scan = open_scan(scanned)
        assert scan.only(np.ones(4, bool)).model_table.equals(scan.model_table)

    def test_models_are_pooled_again_over_the_layers_that_are_left(self, made):
        part = made.only(np.array([1, 0, 1, 0, 0, 0, 0, 0], bool))
        (row,) = part.model_table.to_pylist()
        assert (row["model"], row["n_layers"], row["n_kernels"], row["bytes"]) == (
            "a.pt",
            2,
            80,
            1000,
        )
        assert (row["n_sparse"], row["max_abs"], row["l1"]) == (2, 3.0, 20.0)
        assert row["sparsity"] == 2 / 80
        assert row["orthogonality"] == pytest.approx(0.81)
        assert row["l2"] == pytest.approx(np.hypot(3, 3))
        assert row["variance_entropy_ratio"] is None

    def test_verdicts_of_the_layers_that_are_left_are_counted(self, tmp_path):
        told = {("a", 0): {"verdict": "collapsed"}, ("a", 1): {"verdict": "sparse"}}
        scan = made_scan(tmp_path, {"a": 3}, told=told)
        (row,) = scan.only(np.array([True, True, True])).model_table.to_pylist()
        assert verdict_counts(row) == {"collapsed": 1, "sparse": 1, "healthy": 1}
        assert row["n_degenerate"] == 1
        (row,) = scan.only(np.array([False, True, True])).model_table.to_pylist()
        assert verdict_counts(row) == {"sparse": 1, "healthy": 1}
        assert row["n_degenerate"] == 0

    def test_a_model_is_told_by_counts_and_not_by_its_worst_layer(self):
        counts = {"collapsed": 1, "sparse": 2, "healthy": 15}
        assert verdicts_text(counts) == "1 of 18 collapsed, 2 sparse"
        assert verdicts_text({"healthy": 3}) == "healthy"

    def test_nothing_is_left(self, made):
        part = made.only(np.zeros(8, bool))
        assert (part.layer_table.num_rows, part.model_table.num_rows, part.model_names) == (
            0,
            0,
            [],
        )
        assert part.histogram.shape == (0, 9, 70)
