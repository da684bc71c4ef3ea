"""The axes that layers are grouped along: columns of the scan and of metadata, and some derived ones.

A label is a text, number or truth value; None where it is unknown.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import did_you_mean
from ._metadata import Joined, join_metadata, read_metadata, typed_column
from .schema import LAYER_COLUMNS, LAYERS, MODELS

if TYPE_CHECKING:
    from ._scan import Scan

_TENTHS = np.arange(1, 10) / 10
_DECILES = np.array([f"{i / 10:.1f}-{(i + 1) / 10:.1f}" for i in range(10)], object)
# Measured or too fine, not chosen: no axis unless asked for by name.
_MEASURED = {
    *LAYERS.names[LAYERS.names.index("n_kernels") :],
    *("layer", "depth", "relative_depth", "out_channels", "in_channels", "groups"),
    *(column.name for column in LAYER_COLUMNS if column.optional),
} - {"verdict"}


def axis_values(scan: "Scan", axis: str) -> np.ndarray:
    """Return the label of every layer along an axis, as objects; None where it is unknown.

    Raises ValueError, with the axes there are, for one that is not there.
    """
    if (derive := _DERIVED.get(axis)) is not None:
        return derive(scan)
    if axis in scan.layer_table.column_names:
        return _values(scan.layer_table, axis)
    raise ValueError(_unknown(scan, axis))


def axes_of(scan: "Scan") -> list[str]:
    """The axes along which this scan falls into groups: two labels or more, not one a layer.

    What was measured is left out, but the verdict.
    """
    names = [name for name in all_axes(scan) if name not in _MEASURED]
    return [
        name for name in names if 1 < _labels(axis_values(scan, name)) < scan.layer_table.num_rows
    ]


def all_axes(scan: "Scan") -> list[str]:
    """Every name that `axis_values` knows."""
    return list(dict.fromkeys([*scan.layer_table.column_names, *_DERIVED]))


def with_metadata(scan: "Scan", path: Path | str) -> "tuple[Scan, Joined]":
    """The scan with what a table tells about its models, as columns of its layers and models.

    A column of earlier metadata is replaced; "meta." goes before a name that the scan itself takes.
    """
    names = dict.fromkeys(scan.model_names)
    others = [entry["model"] for entry in scan.record["checkpoints"] if entry["model"] not in names]
    joined = join_metadata([*names, *others], read_metadata(path))
    unmatched = tuple(model for model in joined.unmatched_models if model in names)
    layers, models = scan.layer_table, scan.model_table
    place = {model: i for i, model in enumerate(scan.model_names)}
    of_models = [place[model] for model in models["model"].to_pylist()]
    for name, values in joined.columns.items():
        shown = f"meta.{name}" if name in _TAKEN else name
        column = typed_column(values[: len(names)])
        layers = _with_column(layers, shown, column.take(pa.array(scan.model_of_layer)))
        models = _with_column(models, shown, column.take(pa.array(of_models, pa.int64())))
    told = dataclasses.replace(joined, unmatched_models=unmatched)
    return dataclasses.replace(scan, layer_table=layers, model_table=models), told


def _depth_decile(scan: "Scan") -> np.ndarray:
    depth = _values(scan.layer_table, "relative_depth")
    known = np.array([x is not None for x in depth], bool)
    labels = np.full(len(depth), None, object)
    labels[known] = _DECILES[np.searchsorted(_TENTHS, depth[known].astype(float))]
    return labels


def _first_layer(scan: "Scan") -> np.ndarray:
    depth = _values(scan.layer_table, "depth").astype(np.int64)
    first = np.full(len(scan.model_names), np.iinfo(np.int64).max)
    np.minimum.at(first, scan.model_of_layer, depth)
    return np.where(depth == first[scan.model_of_layer], "first", "later").astype(object)


def _depthwise(scan: "Scan") -> np.ndarray:
    groups, depthwise = (_values(scan.layer_table, name) for name in ("groups", "depthwise"))
    labels = np.full(len(groups), None, object)
    is_known = np.array([value is not None for value in groups], bool)
    labels[is_known] = np.where(groups[is_known].astype(np.int64) > 1, "grouped", "dense")
    labels[depthwise == True] = "depthwise"  # noqa: E712
    return labels


def _values(table: pa.Table, name: str) -> np.ndarray:
    values = np.empty(table.num_rows, object)
    values[:] = table[name].to_pylist()
    return values


def _labels(values: np.ndarray) -> int:
    return len({value for value in values if value is not None})


def _unknown(scan: "Scan", axis: str) -> str:
    hint = did_you_mean(axis, all_axes(scan)) or "."
    known = f"There are {', '.join(axes_of(scan))}, and any column of layers.parquet"
    return f"expected an axis, got {axis!r}{hint} {known}; --meta adds more"


def _with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


_DERIVED: dict[str, Callable[["Scan"], np.ndarray]] = {
    "depth_decile": _depth_decile,
    "first_layer": _first_layer,
    "depthwise": _depthwise,
}
_TAKEN = {*LAYERS.names, *MODELS.names, *_DERIVED}
