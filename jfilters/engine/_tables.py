"""From layer statistics to the two tables of a scan: one row a layer, one row a model.

A model is a checkpoint, or a network of one that is a population.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ..scans.internal import LayerStatistics, object_columns, pooled, scaled_moments, typed_column
from ..scans.schema import LAYERS, MODELS
from ..statistics import judge, randomness_threshold
from ..statistics.internal import entropy_from_moments
from ._measurements import Measurements
from ._options import Options
from ._plan import Entry, PlannedLayer

ROWS_AT_ONCE = 4_096
"""Rows of a table that are made together: as Python objects a row takes 3 kB."""


def layers_table(measurements: Measurements) -> pa.Table:
    """One row a layer, in the order of the statistics. Undefined numbers are null, never NaN.

    What is told about layers beside their weights follows in columns of its own, in the order in which they
    first appear, null for layers of which it is not told; "meta." goes before a name that is taken.
    """
    planned = [(entry, layer) for entry in measurements.entries for layer in entry.layers]
    tables = [LAYERS.empty_table()]
    for i in range(0, len(planned), ROWS_AT_ONCE):
        part = slice(i, i + ROWS_AT_ONCE)
        statistics = measurements.statistics.take(part)
        tables.append(_layers_table(planned[part], statistics, measurements.options))
    table = pa.concat_tables(tables).combine_chunks()
    return _with_metadata(table, [layer for _, layer in planned])


def _layers_table(
    planned: Sequence[tuple[Entry, PlannedLayer]], statistics: LayerStatistics, options: Options
) -> pa.Table:
    """The columns of the schema for some layers."""
    columns = _records([_identity(entry, layer, options.spatial) for entry, layer in planned])
    columns |= _numbers(statistics, options.d)
    verdicts = [
        judge(
            n_kernels=int(columns["n_kernels"][i]),
            n_nonfinite=int(columns["n_nonfinite"][i]),
            max_abs=float(columns["max_abs"][i]),
            sparsity=float(columns["sparsity"][i]),
            variance_entropy=float(columns["variance_entropy"][i]),
            threshold=float(columns["threshold"][i]),
            d=options.d,
        )
        for i in range(len(planned))
    ]
    columns.pop("threshold")
    columns["verdict"] = [verdict.label for verdict in verdicts]
    columns["reason"] = [verdict.reason for verdict in verdicts]
    return pa.table({name: _column(values) for name, values in columns.items()}, schema=LAYERS)


def models_table(measurements: Measurements, layers: pa.Table) -> pa.Table:
    """One row a model with layers of the chosen shape.

    Counts add over layers, sparsity is that of all kernels together, entropies and orthogonality are
    medians over layers, and the layers of each verdict are counted. The bytes of a file that is a
    population are those of none of its models.
    """
    models = _models(measurements)
    groups = [models[i : i + ROWS_AT_ONCE] for i in range(0, len(models), ROWS_AT_ONCE)]
    tables, first = [MODELS.empty_table()], 0
    for group in groups:
        count = sum(count for _, _, count in group)
        tables.append(_models_table(group, object_columns(layers.slice(first, count))))
        first += count
    return pa.concat_tables(tables).combine_chunks()


def _models_table(
    models: Sequence[tuple[Entry, str, int]], columns: dict[str, np.ndarray]
) -> pa.Table:
    """The rows of some models, given the columns of their layers."""
    rows, first = [], 0
    for entry, member, count in models:
        part = slice(first, first + count)
        identity = {
            "model": entry.model_of(member),
            "step": entry.step,
            "format": entry.format,
            "bytes": None if member else entry.total_bytes,
            "family": None,  # of all models together, when the scan is made
            "run": None,
            "updates": entry.updates,
            "batchnorm": entry.batchnorm,
        }
        rows.append(identity | pooled({name: values[part] for name, values in columns.items()}))
        first += count
    return pa.Table.from_pylist(rows, schema=MODELS)


def _models(measurements: Measurements) -> list[tuple[Entry, str, int]]:
    """The models in the order of the statistics: their checkpoint, which member of it, and their layers."""
    return [
        (entry, member, len(list(layers)))
        for entry in measurements.entries
        for member, layers in itertools.groupby(entry.layers, lambda planned: planned.member)
    ]


def _with_metadata(table: pa.Table, layers: Sequence[PlannedLayer]) -> pa.Table:
    for name in dict.fromkeys(name for planned in layers for name in planned.metadata):
        shown = name
        while shown in table.column_names:
            shown = f"meta.{shown}"
        values = [planned.metadata.get(name) for planned in layers]
        table = table.append_column(shown, typed_column(values))
    return table


def _identity(entry: Entry, planned: PlannedLayer, spatial: tuple[int, ...]) -> dict[str, object]:
    layer, inputs = planned.layer, planned.shape[1]
    # A layer of one input channel and of groups that the file does not tell may be depthwise or not.
    is_open = layer.groups is None and inputs == 1
    return {
        "model": entry.model_of(planned.member),
        "layer": layer.name,
        "step": entry.step,
        "format": entry.format,
        "axes": layer.axes,
        "dtype": layer.dtype,
        "spatial": "x".join(map(str, spatial)),
        "out_channels": planned.shape[0],
        "in_channels": None if layer.groups is None else inputs * layer.groups,
        "groups": layer.groups,
        "depthwise": None if is_open else layer.is_depthwise(inputs),
        "depth": layer.depth,
        "relative_depth": layer.relative_depth,
        "depth_source": layer.depth_source,
        "applied": layer.applied,
        "network": layer.network or None,
        "note": layer.note or None,
    }


def _numbers(statistics: LayerStatistics, d: int) -> dict[str, np.ndarray]:
    n_clean = statistics.n_finite - statistics.n_sparse
    threshold, clean_threshold = (
        np.asarray(randomness_threshold(n, d)) for n in (statistics.n_finite, n_clean)
    )
    # In units of the largest weight, so that squares neither overflow nor vanish.
    unit = 1 / np.where(statistics.max_abs > 0, statistics.max_abs, 1)
    raw, clean = (
        np.asarray(entropy_from_moments(scaled_moments(part, unit)))
        for part in (statistics.raw, statistics.clean)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "n_kernels": statistics.n_kernels,
            "n_zero": statistics.n_zero,
            "n_sparse": statistics.n_sparse,
            "n_nonfinite": statistics.n_nonfinite,
            "max_abs": statistics.max_abs,
            "sparsity": statistics.n_sparse / statistics.n_finite,
            "variance_entropy": raw,
            "variance_entropy_ratio": raw / threshold,
            "variance_entropy_clean": clean,
            "variance_entropy_clean_ratio": clean / clean_threshold,
            "orthogonality": statistics.orthogonality,
            "l1": statistics.sum_abs,
            "l2": np.sqrt(statistics.sum_squares),
            "threshold": threshold,
        }


def _records(rows: list[dict[str, object]]) -> dict[str, list]:
    return {
        name: [row[name] for row in rows]
        for name in LAYERS.names[: LAYERS.names.index("n_kernels")]
    }


def _column(values: object) -> object:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, mask=~np.isfinite(values))
    return pa.array(values)
