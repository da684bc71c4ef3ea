"""The schema: what it lists is what a scan writes, and what a reader does with anything else."""

import dataclasses
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from jfilters import CheckpointError
from jfilters.engine import _tables
from jfilters.engine.internal import measure_checkpoints
from jfilters.scans import open_scan
from jfilters.scans._pooled import object_columns, pooled
from jfilters.scans.schema import (
    ARRAY,
    ARRAYS,
    LAYER_COLUMNS,
    LAYERS,
    MODEL_COLUMNS,
    MODELS,
    VERSION,
)

from .scans import made_scan, real_scan, rewrite_record, same, save_folder

OPTIONAL = [column.name for column in LAYER_COLUMNS if column.optional]
POOLED = [column.name for column in MODEL_COLUMNS if column.pool]
PURE_NUMBERS = {
    *("step", "groups", "depth"),
    *("variance_entropy_ratio", "variance_entropy_clean_ratio"),
}
"""Ranks, ratios and numbers of nothing."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return real_scan(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(tmp_path):
    """A written scan of three layers."""
    scan = made_scan(tmp_path / "scan", {"a": 2, "b": 1})
    save_folder(scan)
    return scan.folder


def change_layers(folder, change):
    path = folder / "layers.parquet"
    pq.write_table(change(pq.read_table(path)), path)


class TestList:
    def test_a_scan_writes_every_column_in_this_order(self, written):
        for name, schema in (("layers", LAYERS), ("models", MODELS)):
            assert pq.read_table(written / f"{name}.parquet").schema.equals(schema)

    def test_a_scan_writes_every_array(self, written):
        arrays = load_file(written / "arrays.safetensors")
        assert set(arrays) == set(ARRAY)
        for name, array in arrays.items():
            assert array.dtype == ARRAY[name].dtype
            assert array.ndim == len(ARRAY[name].axes)

    def test_a_scan_writes_its_version(self, written):
        assert open_scan(written).record["schema"] == VERSION == 1

    @pytest.mark.parametrize("columns", [LAYER_COLUMNS, MODEL_COLUMNS])
    def test_every_column_is_documented(self, columns):
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        for column in columns:
            assert column.name.isidentifier()
            assert column.meaning
            is_number = column.type in (pa.int64(), pa.float64())
            assert bool(column.unit) or not is_number or column.name in PURE_NUMBERS, column.name

    def test_every_array_is_documented(self):
        assert len(ARRAY) == len(ARRAYS)
        assert all(array.meaning and array.axes for array in ARRAYS)

    def test_columns_of_both_tables_have_one_type(self):
        for name in set(LAYERS.names) & set(MODELS.names):
            assert LAYERS.field(name).type == MODELS.field(name).type


class TestPooling:
    @pytest.fixture
    def model_rows(self, tmp_path, monkeypatch):
        """The rows that the engine makes of models, before the table fills what they lack with null."""
        rows = []

        class Table:
            @staticmethod
            def from_pylist(records, schema):
                rows.extend(records)
                return pa.Table.from_pylist(records, schema=schema)

        arrow = types.SimpleNamespace(**(vars(pa) | {"Table": Table}))
        monkeypatch.setattr(_tables, "pa", arrow)
        real_scan(tmp_path)
        return rows

    def test_a_pooled_row_fills_every_column_with_a_pool(self, written):
        layers = open_scan(written).layer_table.slice(0, 2)
        row = pooled(object_columns(layers))
        assert list(row) == POOLED
        assert all(value is not None for value in row.values())

    def test_the_engine_fills_every_column_of_a_model(self, model_rows):
        assert len(model_rows) == 2
        for row in model_rows:
            assert set(row) == set(MODELS.names)
            identity = [name for name in MODELS.names if name not in POOLED]
            of_all = ["family", "run"]  # found when all models are known
            counted = ["updates", "batchnorm"]
            assert identity == ["model", "step", "format", "bytes", *of_all, *counted]
            filled = set(MODELS.names) - {"step", "updates", *of_all}
            assert all(row[name] is not None for name in filled)

    def test_a_column_of_layers_that_the_engine_does_not_fill_is_an_error(
        self, tmp_path, monkeypatch
    ):
        folder = real_scan(tmp_path)
        measurements = measure_checkpoints(folder.parent / "in")
        monkeypatch.setattr(_tables, "LAYERS", LAYERS.append(pa.field("unfilled", pa.int64())))
        with pytest.raises(KeyError, match="unfilled"):
            _tables.layers_table(measurements)


class TestReader:
    def test_columns_that_it_does_not_know_are_kept(self, folder, tmp_path):
        change_layers(folder, lambda table: table.append_column("later", [["x", None, "y"]]))
        scan = open_scan(folder)
        scan.save(tmp_path / "again")
        for opened in (scan, open_scan(tmp_path / "again")):
            assert opened.layer_table["later"].to_pylist() == ["x", None, "y"]
            assert opened.only(np.array([True, False, True])).layer_table.num_columns == (
                len(LAYERS) + 1
            )

    def test_arrays_that_it_does_not_know_are_kept(self, folder, tmp_path):
        arrays = load_file(folder / "arrays.safetensors")
        later = np.arange(6, dtype=np.uint8).reshape(2, 3)
        save_file({**arrays, "later": later}, folder / "arrays.safetensors")
        scan = open_scan(folder)
        scan.save(tmp_path / "again")
        for opened in (scan, open_scan(tmp_path / "again")):
            np.testing.assert_array_equal(opened.arrays["later"], later)
            part = opened.only(np.array([True, False, False]))
            np.testing.assert_array_equal(part.arrays["later"], later)

    @pytest.mark.parametrize("names", [[name] for name in OPTIONAL] + [OPTIONAL])
    def test_optional_columns_that_are_missing_are_null(self, folder, names):
        change_layers(folder, lambda table: table.drop_columns(names))
        table = open_scan(folder).layer_table
        assert table.schema.equals(LAYERS)
        assert all(table[name].null_count == 3 for name in names)

    def test_metadata_of_an_old_scan_may_have_the_name_of_a_later_column(self, folder):
        def old(table):
            names = ["because" if name == "reason" else name for name in table.column_names]
            table = table.rename_columns(names).drop_columns(OPTIONAL)
            return table.append_column("note", [[1, 2, 3]])

        before = open_scan(folder).layer_table["reason"].to_pylist()
        change_layers(folder, old)
        table = open_scan(folder).layer_table
        assert table.column_names == [*LAYERS.names, "meta.note"]
        assert table["meta.note"].to_pylist() == [1, 2, 3]
        assert table["note"].null_count == 3
        assert table["reason"].to_pylist() == before

    def test_a_newer_schema_is_refused_with_the_remedy(self, folder):
        rewrite_record(folder, lambda record: record.update(schema=VERSION + 1))
        with pytest.raises(CheckpointError, match=r"newer jfilters.*install a newer jfilters") as e:
            open_scan(folder)
        assert f"schema {VERSION + 1}" in str(e.value)
        assert "scan.json" in str(e.value)

    @pytest.mark.parametrize("version", ["1", -1, None, 1.5])
    def test_what_is_no_version_is_refused(self, folder, version):
        rewrite_record(folder, lambda record: record.update(schema=version))
        with pytest.raises(CheckpointError, match="expected the version of its schema"):
            open_scan(folder)

    def test_a_record_without_a_version_is_of_version_0(self, written, tmp_path):
        scan = open_scan(written)
        old = {name: value for name, value in scan.record.items() if name != "schema"}
        dataclasses.replace(scan, record=old).save(tmp_path / "old")
        opened = open_scan(tmp_path / "old")
        assert "schema" not in opened.record
        assert same(dataclasses.replace(opened, record=scan.record), scan)
        rewrite_record(tmp_path / "old", lambda record: record.update(schema=0))
        assert same(dataclasses.replace(open_scan(tmp_path / "old"), record=scan.record), scan)
