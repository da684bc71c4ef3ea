"""Whether the parts of a written scan belong together: columns, lengths, types and taps."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..engine import LATER, LAYERS, MODELS
from ..errors import CheckpointError
from ..statistics import VERDICTS, Basis

MOMENTS = ("normalized", "raw", "clean")
"""Of normalized kernels; of raw ones; of raw ones without sparse kernels."""

_SHAPES = {
    "edges": ("float64", ("edges",)),
    "histogram": ("int64", ("layers", "d", "bins")),
    "sparse_histogram": ("int64", ("layers", "d", "bins")),
    "sparse_at": ("int64", ("layers", "k")),
    "sparse_eps": ("float64", ("k",)),
    "sample": ("float32", ("m", "d")),
    "sample.layer": ("int64", ("m",)),
} | {
    f"{moments}.{part}": ("float64", ("layers", *rest))
    for moments in MOMENTS
    for part, rest in (("count", ()), ("mean", ("d",)), ("scatter", ("d", "d")))
}
ARRAYS = frozenset(_SHAPES)
"""The names of what arrays.safetensors holds beside the basis."""

_WHOLE = {"model", "layer", "depth", "verdict", "n_layers"} | {
    f"n_{what}" for what in ("kernels", "zero", "sparse", "nonfinite")
}
_TOGETHER = (
    ("sparse_at", "sparse_eps"),
    ("sample", "sample.layer"),
    *((*(f"{moments}.{part}" for part in ("count", "mean", "scatter")),) for moments in MOMENTS),
)


def check_parts(
    path: Path,
    record: dict[str, Any],
    layers: pa.Table,
    models: pa.Table,
    basis: Basis,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Raise CheckpointError, naming what does not fit, unless these are the parts of one scan."""
    _check_columns(path, "layers", layers, LAYERS)
    _check_columns(path, "models", models, MODELS)
    if set(layers["model"].to_pylist()) != set(models["model"].to_pylist()):
        raise damaged(path, "expected the same models in both tables")
    d = math.prod(record["config"]["spatial"])
    if len(basis.mean) != d:
        raise damaged(path, f"expected a basis of {d} taps, found {len(basis.mean)}")
    _check_shapes(path, arrays, {"layers": layers.num_rows, "d": d})
    _check_values(path, arrays)


def with_later_columns(layers: pa.Table) -> pa.Table:
    """The table of layers with the columns that scans of earlier versions lack, unknown in every row."""
    names = layers.column_names
    place = names.index("depth_source") + 1 if "depth_source" in names else len(names)
    if tuple(names[place : place + len(LATER)]) == LATER:
        return layers
    # There a column of metadata may have such a name.
    layers = layers.rename_columns([f"meta.{name}" if name in LATER else name for name in names])
    for name in reversed(LATER):
        layers = layers.add_column(place, name, pa.nulls(layers.num_rows, pa.string()))
    return layers


def check_record(path: Path, record: object) -> None:
    """Raise CheckpointError unless `record` has what is read from a scan.json later."""
    match record:
        case {
            "config": {"spatial": [_, *_] as spatial},
            "totals": {"layers": int(), **totals},
            "checkpoints": list(checkpoints),
        }:
            counts = [*spatial, *totals.values()]
            if all(map(_is_count, counts)) and all(spatial) and all(map(_is_entry, checkpoints)):
                return
    raise damaged(path, "expected the record of a scan, with its config, totals and checkpoints")


def _is_count(told: object) -> bool:
    return isinstance(told, int) and told >= 0


def _is_entry(told: object) -> bool:
    """Whether this is what a record tells of one checkpoint."""
    if not (isinstance(told, dict) and isinstance(told.get("model"), str)):
        return False
    texts = all(isinstance(told.get(name), str | None) for name in ("sha256", "path", "status"))
    return texts and isinstance(told.get("bytes"), int | None)


def damaged(path: Path, reason: str) -> CheckpointError:
    """The error of a scan whose parts are missing or do not fit."""
    return CheckpointError(reason, path=path, remedy="write it again: run `jfilters scan`")


def _check_columns(path: Path, name: str, table: pa.Table, schema: pa.Schema) -> None:
    for field in schema:
        if (
            field.name not in table.column_names
            or table.schema.field(field.name).type != field.type
        ):
            raise damaged(path, f"expected a column {field.name} of {field.type} in its {name}")
        if field.name in _WHOLE and table[field.name].null_count:
            raise damaged(path, f"expected {field.name} in every row of its {name}")
    if unknown := set(table["verdict"].to_pylist()) - set(VERDICTS):
        raise damaged(path, f"expected a verdict, found {unknown.pop()!r} in its {name}")


def _check_shapes(path: Path, arrays: Mapping[str, np.ndarray], sizes: dict[str, int]) -> None:
    for name in ("edges", "histogram"):
        if name not in arrays:
            raise damaged(path, f"expected an array {name}, found none")
    for group in _TOGETHER:
        if len({name in arrays for name in group}) > 1:
            raise damaged(path, f"expected {', '.join(group)} together, found not all of them")
    # The histogram first: its bins decide about the edges.
    for name in sorted(arrays.keys() & _SHAPES.keys(), key=lambda name: name != "histogram"):
        _check_shape(path, name, arrays[name], sizes)
        if name == "histogram":
            sizes["edges"] = sizes["bins"] + 1


def _check_shape(path: Path, name: str, array: np.ndarray, sizes: dict[str, int]) -> None:
    dtype, axes = _SHAPES[name]
    fits = array.dtype == dtype and array.ndim == len(axes)
    if not (
        fits and all(sizes.setdefault(a, n) == n for a, n in zip(axes, array.shape, strict=True))
    ):
        expected = ", ".join(f"{axis} = {sizes[axis]}" if axis in sizes else axis for axis in axes)
        found = f"{array.dtype} {array.shape}"
        raise damaged(path, f"expected {name} as {dtype} ({expected}), found {found}")


def _check_values(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    if not np.all(np.diff(arrays["edges"]) > 0):
        raise damaged(path, "expected edges that rise")
    for name in ("histogram", "sparse_histogram", "sparse_at", "sample.layer"):
        if name in arrays and np.any(arrays[name] < 0):
            raise damaged(path, f"expected no negative number in {name}")
    layers = len(arrays["histogram"])
    if "sample.layer" in arrays and np.any(arrays["sample.layer"] >= layers):
        raise damaged(path, f"expected sample.layer below {layers}")
