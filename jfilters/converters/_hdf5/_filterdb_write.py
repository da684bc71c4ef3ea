"""A Filter DB file from any kernels: streamed into `/filters`, their table into `/meta`.

The table is laid out as pandas would through PyTables, and opens as the papers' notebooks open theirs,
by `pandas.read_hdf(path, "meta")` and `h5py.File(path)["filters"]`: indexed by network and depth, as the
published files are. Neither pandas nor PyTables is needed.
"""

import contextlib
import pickle
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..._files import Location, place, written_whole
from ..._traced import check_computed
from ...io import require_h5py

LEVELS = ("model_id", "conv_depth", "conv_depth_norm")
"""Columns that are the index of the published tables, as far as a table has them."""

CHUNK = 4096
"""Kernels in one chunk of the file, 147 KB."""


def write_filterdb(path: str | Location, kernels: Iterable[np.ndarray], meta: pa.Table) -> None:
    """Write kernels and their table as a CNN Filter DB file, which appears whole or not at all.

    Kernels are streamed: one array is in memory at a time. The file opens in the notebooks of the papers,
    by `pandas.read_hdf(path, "meta")` and `h5py.File(path)["filters"]`, and as a checkpoint of jfilters.

    **Arguments:**

    - `path`: the file, replaced if it exists.
    - `kernels`: one array a row of `meta`, (n, 3, 3) or (out, in, 3, 3); taken one at a time.
    - `meta`: one row a layer, with columns such as model and conv_depth; `filter_ids` is added. Those
      of model_id, conv_depth and conv_depth_norm that it has are the index of the table in pandas.

    **Raises:** ValueError for other shapes, another number of arrays, or a column that does not fit;
    MissingExtraError without h5py.

    >>> import tempfile
    >>> import numpy as np, pyarrow as pa
    >>> from jfilters.converters import population
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_filterdb(f"{folder}/a.h5", [np.ones((4, 2, 3, 3))], pa.table({"model": ["a"]}))
    ...     population(f"{folder}/a.h5").meta["filter_ids"].to_pylist()
    ['0:7']
    """
    path = place(path)
    h5py = require_h5py(path)
    with _quiet(), written_whole(path) as partial, h5py.File(partial, "w") as file:
        ids = _write_kernels(file, kernels)
        _write_table(file, _with_ids(meta, ids))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let HDF5 not report each object that it cannot close on a full disk: the first error says it."""
    hooks = sys.unraisablehook, sys.excepthook
    sys.unraisablehook, sys.excepthook = lambda _: None, lambda *_: None
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:  # what their frames hold is closed while nobody hears of it
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__context__
        raise
    finally:
        sys.unraisablehook, sys.excepthook = hooks


def _write_kernels(file: Any, kernels: Iterable[np.ndarray]) -> list[str]:
    """Append the kernels of all layers; returns the filter_ids of each."""
    stored = file.create_dataset(
        "filters", (0, 3, 3), "float32", chunks=(CHUNK, 3, 3), maxshape=(None, 3, 3)
    )
    ids = []
    for weight in kernels:
        check_computed((weight,), "the weight of a Filter DB", "write it outside of them")
        if weight.shape[-2:] != (3, 3) or weight.ndim not in (3, 4) or weight.size == 0:
            expected = "expected at least one kernel, (n, 3, 3) or (out, in, 3, 3)"
            raise ValueError(f"layer {len(ids)}: {expected}, got shape {weight.shape}")
        start, count = len(stored), weight.size // 9
        stored.resize(start + count, axis=0)
        stored[start:] = np.asarray(weight, np.float32).reshape(count, 3, 3)
        ids.append(f"{start}:{start + count - 1}")
    return ids


def _with_ids(meta: pa.Table, ids: list[str]) -> pa.Table:
    if meta.num_rows != len(ids):
        raise ValueError(f"expected one row of meta a layer, got {meta.num_rows} for {len(ids)}")
    if "filter_ids" in meta.column_names:
        meta = meta.drop_columns(["filter_ids"])
    return meta.append_column("filter_ids", pa.array(ids, pa.string()))


def _write_table(file: Any, meta: pa.Table) -> None:
    """The "table" layout of pandas, every column a field of its own."""
    names = meta.column_names
    if len(set(names)) < len(names) or "index" in names or any("/" in name for name in names):
        raise ValueError(
            f"expected distinct columns, none called index or with a slash, got {names}"
        )
    columns = {name: _column(name, meta[name]) for name in names}
    index = np.arange(meta.num_rows, dtype="int64")
    fields = {"index": index} | columns
    records = np.empty(meta.num_rows, [(name, values.dtype) for name, values in fields.items()])
    for name, values in fields.items():
        records[name] = values
    group = file.create_group("meta")
    stored = group.create_dataset("table", data=records, maxshape=(None,), chunks=(1024,))
    booleans = {name for name in names if pa.types.is_boolean(meta.schema.field(name).type)}
    _set(group, _frame_attributes(names, [name for name in LEVELS if name in names]))
    _set(stored, _table_attributes(columns, booleans))


def _column(name: str, column: pa.ChunkedArray) -> np.ndarray:
    """A column as pandas stores it: UTF-8 of one width, 64-bit numbers, booleans as bytes."""
    kind = column.type
    if pa.types.is_boolean(kind) and column.null_count == 0:
        return np.asarray(column.to_pylist(), np.uint8)
    if pa.types.is_integer(kind) and column.null_count == 0:
        return np.asarray(column.to_pylist(), np.int64)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray([np.nan if v is None else v for v in column.to_pylist()], np.float64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        texts = [b"nan" if v is None else v.encode() for v in column.to_pylist()]
        return np.asarray(texts, f"S{max(map(len, texts), default=1) or 1}")
    raise ValueError(f"column {name!r}: expected text, numbers or booleans, got {kind}")


def _frame_attributes(names: list[str], levels: list[str]) -> dict[str, object]:
    """Return the attributes that pandas reads from the group of a table, with its index levels."""
    return {
        "CLASS": "GROUP",
        "VERSION": "1.0",
        "TITLE": "",
        "pandas_type": "frame_table",
        "pandas_version": "0.15.2",
        "table_type": "appendable_multiframe" if levels else "appendable_frame",
        "index_cols": [(0, "index")],
        "values_cols": names,
        "data_columns": names,
        "non_index_axes": [(1, names)],
        "info": {1: {"type": "Index", "names": [None]}, "index": {}},
        "nan_rep": "nan",
        "encoding": "UTF-8",
        "errors": "strict",
        "levels": levels or 1,
    }


def _table_attributes(columns: dict[str, np.ndarray], booleans: set[str]) -> dict[str, object]:
    """Return the attributes that PyTables reads from a table, and pandas for each of its columns."""
    attributes: dict[str, object] = {
        "CLASS": "TABLE",
        "VERSION": "2.7",
        "TITLE": "",
        "index_kind": "integer",
    }
    for number, name in enumerate(["index", *columns]):
        attributes[f"FIELD_{number}_NAME"] = name
    for name, values in columns.items():
        text = (
            f"string{8 * values.dtype.itemsize}" if values.dtype.kind == "S" else values.dtype.name
        )
        attributes[f"{name}_dtype"] = "bool" if name in booleans else text
        attributes[f"{name}_kind"] = [name]
        attributes[f"{name}_meta"] = None
    return attributes


def _set(holder: Any, attributes: dict[str, object]) -> None:
    """Set attributes as PyTables does: numbers and text as themselves, everything else pickled."""
    for name, value in attributes.items():
        holder.attrs[name] = _stored(value)


def _stored(value: object) -> Any:
    if isinstance(value, int):
        return np.int64(value)
    if not isinstance(value, str):
        return np.bytes_(pickle.dumps(value, protocol=0))
    h5py, data = require_h5py(Path()), value.encode()
    # PyTables takes text for bytes unless its type says UTF-8.
    text = h5py.string_dtype("utf-8", len(data))
    return np.array(data, text) if data else h5py.Empty("S1")
