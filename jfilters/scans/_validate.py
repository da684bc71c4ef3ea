"""Checks that the files of a scan belong together: columns, lengths, types and taps, as the schema says."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from .._files import Location
from ..errors import CheckpointError
from ..lineage.internal import WIDTH
from ..statistics import VERDICTS
from .schema import ARRAYS, LAYER_COLUMNS, MODEL_COLUMNS, VERSION, Column

SKETCH_ROWS = tuple(1 << power for power in range(7))
"""Rows that the sketch of a layer can have."""

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""The type and the shape of arrays, by name."""


def damaged(path: Location, reason: str) -> CheckpointError:
    """Return the error of a scan whose parts are missing or do not fit."""
    return CheckpointError(reason, path=path, remedy="write it again: run `jfilters scan`")


def current_layers(layers: pa.Table) -> pa.Table:
    """Return a table of layers under the names of this version, missing optional columns null in every
    row."""
    return _current(layers, LAYER_COLUMNS)


def current_models(models: pa.Table) -> pa.Table:
    """Return a table of models under the names of this version, missing optional columns null in every
    row."""
    return _current(models, MODEL_COLUMNS)


def check_tables(path: Location, layers: pa.Table, models: pa.Table) -> None:
    """Raise CheckpointError, naming the column, unless these are the two tables of one scan."""
    _check_columns(path, "layers", layers, LAYER_COLUMNS)
    _check_columns(path, "models", models, MODEL_COLUMNS)
    if set(layers["model"].to_pylist()) != set(models["model"].to_pylist()):
        raise damaged(path, "expected the same models in both tables")


def check_record(path: Location, record: Any) -> None:
    """Raise CheckpointError unless `record` has what is read from a scan.json later, of a known version."""
    match record:
        case {
            "config": {"spatial": [_, *_] as spatial},
            "totals": {"layers": int(), **totals},
            "checkpoints": list(checkpoints),
        }:
            counts = [*spatial, *totals.values()]
            if all(map(_is_count, counts)) and all(spatial) and all(map(_is_entry, checkpoints)):
                return _check_version(path, record.get("schema", 0))
        case _:
            pass
    raise damaged(path, "expected the record of a scan, with its config, totals and checkpoints")


def check_shapes(path: Location, shapes: Shapes, sizes: dict[str, int]) -> dict[str, int]:
    """Return the sizes of all axes, given those that are known, for arrays that belong to one scan.

    Raises CheckpointError, naming the array, for one that is missing, of another type, or of another size
    than its fellows; arrays that the schema does not list are passed over.
    """
    sizes = {"width": WIDTH, **sizes}
    needed = [array.name for array in ARRAYS if array.required]
    for name in needed:
        if name not in shapes:
            what = "the arrays of a basis" if name.startswith("basis.") else f"an array {name}"
            raise damaged(path, f"expected {what}, found no {name}")
    for group in dict.fromkeys(array.together for array in ARRAYS if array.together):
        names = [array.name for array in ARRAYS if array.together == group]
        if len({name in shapes for name in names}) > 1:
            raise damaged(path, f"expected {', '.join(names)} together, found not all of them")
    # The histogram first: its bins decide about the edges.
    for array in sorted(ARRAYS, key=lambda array: array.name != "histogram"):
        if array.name in shapes:
            _check_shape(path, array.name, array.dtype, array.axes, shapes[array.name], sizes)
        if array.name == "histogram":
            sizes["edges"] = sizes["bins"] + 1
    return sizes


def check_values(path: Location, name: str, array: np.ndarray, sizes: Mapping[str, int]) -> None:
    """Raise CheckpointError if an array holds numbers that no scan writes."""
    if name == "edges" and not np.all(np.diff(array) > 0):
        raise damaged(path, "expected edges that rise")
    if name in _NONNEGATIVE and array.size and array.min() < 0:
        raise damaged(path, f"expected no negative number in {name}")
    if name in ("sample.layer", "kernel_hash.layer") and np.any(array >= sizes["layers"]):
        raise damaged(path, f"expected {name} below {sizes['layers']}")
    if name == "kernel_hash.layer" and np.any(np.diff(array) < 0):
        raise damaged(path, f"expected {name} in ascending order")
    if name in ("sketch.spread", "sketch.zeros") and not np.isfinite(array).all():
        raise damaged(path, f"expected finite numbers in {name}")
    if name == "sketch.rows":
        if not np.isin(array, SKETCH_ROWS).all():
            raise damaged(path, f"expected powers of two from 1 to {SKETCH_ROWS[-1]} in {name}")
        if array.sum() != sizes["sketch_rows"]:
            reason = f"expected the {sizes['sketch_rows']} rows of sketch in {name}"
            raise damaged(path, f"{reason}, found {array.sum()}")


def taps(record: Mapping[str, Any]) -> int:
    """Return the taps of a kernel of the scan with this record."""
    return math.prod(record["config"]["spatial"])


_NONNEGATIVE = {array.name for array in ARRAYS if array.nonnegative}


def _current(table: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    names = list(table.column_names)
    renamed = {column.formerly: column.name for column in columns if column.formerly in names}
    if any(name in names for name in renamed.values()):
        renamed = {}
    missing = [
        column for column in columns if column.optional and not _has(table, column, columns[-1])
    ]
    # A column of metadata may have the name of a column that came later.
    reserved = {column.name for column in missing}
    table = table.rename_columns(
        [f"meta.{name}" if name in reserved else renamed.get(name, name) for name in names]
    )
    order = [column.name for column in columns]
    for column in missing:
        before = [name for name in order[: order.index(column.name)] if name in table.column_names]
        place = table.column_names.index(before[-1]) + 1 if before else 0
        nulls = pa.nulls(table.num_rows, column.type)
        table = table.add_column(place, column.name, nulls)
    return table


def _has(table: pa.Table, column: Column, last: Column) -> bool:
    """Return whether a scan wrote the column: metadata, of any name, comes after the last one."""
    names = table.column_names
    ends = [names.index(name) for name in (last.name, last.formerly) if name in names]
    return column.name in names and names.index(column.name) < min(ends, default=len(names))


def _check_columns(path: Location, name: str, table: pa.Table, columns: tuple[Column, ...]) -> None:
    for column in columns:
        fits = column.name in table.column_names
        if not fits or table.schema.field(column.name).type != column.type:
            raise damaged(path, f"expected a column {column.name} of {column.type} in its {name}")
        if not column.nullable and table[column.name].null_count:
            raise damaged(path, f"expected {column.name} in every row of its {name}")
    verdicts = table["verdict"].to_pylist() if columns is LAYER_COLUMNS else ()
    if unknown := set(verdicts) - set(VERDICTS):
        raise damaged(path, f"expected a verdict, found {unknown.pop()!r} in its {name}")


def _check_shape(
    path: Location,
    name: str,
    dtype: str,
    axes: tuple[str, ...],
    stored: tuple[str, tuple[int, ...]],
    sizes: dict[str, int],
) -> None:
    stored_dtype, shape = stored
    fits = stored_dtype == dtype and len(shape) == len(axes)
    if not (fits and all(sizes.setdefault(a, n) == n for a, n in zip(axes, shape, strict=True))):
        expected = ", ".join(f"{axis} = {sizes[axis]}" if axis in sizes else axis for axis in axes)
        reason = f"expected {name} as {dtype} ({expected}), found {stored_dtype} {shape}"
        raise damaged(path, reason)


def _check_version(path: Location, version: object) -> None:
    if not isinstance(version, int) or version < 0:
        raise damaged(path, f"expected the version of its schema, found {version!r}")
    if version > VERSION:
        reason = f"written by a newer jfilters, in schema {version}; this one knows {VERSION}"
        raise CheckpointError(reason, path=path, remedy="install a newer jfilters")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _is_entry(entry: object) -> bool:
    """Return whether this describes one checkpoint."""
    if not (isinstance(entry, dict) and isinstance(entry.get("model"), str)):
        return False
    texts = all(isinstance(entry.get(name), str | None) for name in ("sha256", "path", "status"))
    return texts and isinstance(entry.get("bytes"), int | None)
