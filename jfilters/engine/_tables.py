"""From cards to the two tables of a scan: one row a layer, one row a model.

A model is a checkpoint, or a network of one that is a population.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ..statistics import VERDICTS, entropy_from_moments, judge, randomness_threshold
from ._card import scaled_moments
from ._plan import Entry, PlannedLayer
from ._run import Scan

DEGENERATE = ("random-like", "collapsed", "all-zero")


def layers_table(scan: Scan) -> pa.Table:
    """One row a layer, in the order of the cards. Undefined numbers are null, never NaN.

    What is told about layers beside their weights follows in columns of its own, in the order in which they
    first appear, null for layers of which it is not told; "meta." goes before a name that is taken.
    """
    planned = [(entry, layer) for entry in scan.entries for layer in entry.layers]
    columns = _records([_identity(entry, layer, scan.options.spatial) for entry, layer in planned])
    columns |= _numbers(scan)
    verdicts = [
        judge(
            n_kernels=int(columns["n_kernels"][i]),
            n_nonfinite=int(columns["n_nonfinite"][i]),
            max_abs=float(columns["max_abs"][i]),
            sparsity=float(columns["sparsity"][i]),
            variance_entropy=float(columns["variance_entropy"][i]),
            threshold=float(columns["threshold"][i]),
            d=scan.options.d,
        )
        for i in range(len(planned))
    ]
    columns.pop("threshold")
    columns["verdict"] = [verdict.word for verdict in verdicts]
    columns["because"] = [verdict.because for verdict in verdicts]
    table = pa.table({name: _column(values) for name, values in columns.items()}, schema=LAYERS)
    return _with_metadata(table, [layer for _, layer in planned])


def models_table(scan: Scan, layers: pa.Table) -> pa.Table:
    """One row a model with layers of the chosen shape.

    Counts add over layers, sparsity is that of all kernels together, entropies and orthogonality are
    medians over layers, and the verdict is the most worrying one. The bytes of a file that is a
    population are those of none of its models.
    """
    frame = {name: np.array(layers[name].to_pylist(), object) for name in LAYERS.names}
    rows, first = [], 0
    for entry, member, count in _models(scan):
        part = slice(first, first + count)
        identity = {
            "model": entry.model_of(member),
            "step": entry.step,
            "format": entry.format,
            "bytes": None if member else entry.total_bytes,
        }
        rows.append(identity | pooled({name: frame[name][part] for name in frame}))
        first += count
    return pa.Table.from_pylist(rows, schema=MODELS)


def model_index(scan: Scan) -> tuple[list[str], np.ndarray]:
    """The names of the models with layers, and for every card the number of its model."""
    models = _models(scan)
    sizes = [count for _, _, count in models]
    names = [entry.model_of(member) for entry, member, _ in models]
    return names, np.repeat(np.arange(len(models)), sizes)


def _models(scan: Scan) -> list[tuple[Entry, str, int]]:
    """The models in the order of the cards: their checkpoint, which member of it, and their layers."""
    return [
        (entry, member, len(list(layers)))
        for entry in scan.entries
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


def typed_column(values: list) -> pa.Array:
    """Numbers as numbers; text as text, and so all values of which some are."""
    try:
        found = pa.array(values)
    except (pa.ArrowException, OverflowError):
        found = pa.array([None if value is None else str(value) for value in values])
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


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


def _numbers(scan: Scan) -> dict[str, np.ndarray]:
    cards, d = scan.cards, scan.options.d
    n_clean = cards.n_finite - cards.n_sparse
    threshold, clean_threshold = (
        np.asarray(randomness_threshold(n, d)) for n in (cards.n_finite, n_clean)
    )
    # In units of the largest weight, so that squares neither overflow nor vanish.
    unit = 1 / np.where(cards.max_abs > 0, cards.max_abs, 1)
    raw, clean = (
        np.asarray(entropy_from_moments(scaled_moments(part, unit)))
        for part in (cards.raw, cards.clean)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "n_kernels": cards.n_kernels,
            "n_zero": cards.n_zero,
            "n_sparse": cards.n_sparse,
            "n_nonfinite": cards.n_nonfinite,
            "max_abs": cards.max_abs,
            "sparsity": cards.n_sparse / cards.n_finite,
            "variance_entropy": raw,
            "variance_entropy_ratio": raw / threshold,
            "variance_entropy_clean": clean,
            "variance_entropy_clean_ratio": clean / clean_threshold,
            "orthogonality": cards.orthogonality,
            "l1": cards.sum_abs,
            "l2": np.sqrt(cards.sum_squares),
            "threshold": threshold,
        }


def pooled(rows: Mapping[str, np.ndarray]) -> dict[str, object]:
    """The numbers of a model from the columns of its layers, as `models_table` has them."""
    sums = {name: int(rows[name].sum()) for name in _COUNTS}
    finite = sums["n_kernels"] - sums["n_nonfinite"]
    return {
        "n_layers": len(rows["verdict"]),
        **sums,
        "max_abs": max(_known(rows["max_abs"]), default=None),
        "sparsity": sums["n_sparse"] / finite if finite else None,
        **{name: _median(rows[name]) for name in _MEDIANS},
        "l1": float(sum(_known(rows["l1"]))),
        "l2": math.hypot(*_known(rows["l2"])),
        "n_degenerate": int(np.isin(rows["verdict"].astype(str), DEGENERATE).sum()),
        "verdict": min(_known(rows["verdict"]), key=VERDICTS.index, default=None),
    }


def _median(values: np.ndarray) -> float | None:
    known = _known(values)
    return float(np.median(known)) if known else None


def _known(values: np.ndarray) -> list:
    return [value for value in values if value is not None]


def _records(rows: list[dict[str, object]]) -> dict[str, list]:
    return {
        name: [row[name] for row in rows]
        for name in LAYERS.names[: LAYERS.names.index("n_kernels")]
    }


def _column(values: object) -> object:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, mask=~np.isfinite(values))
    return pa.array(values)


_COUNTS = ("n_kernels", "n_zero", "n_sparse", "n_nonfinite")
_MEDIANS = (
    "variance_entropy",
    "variance_entropy_ratio",
    "variance_entropy_clean",
    "variance_entropy_clean_ratio",
    "orthogonality",
)

_QUALITY = [
    *((name, pa.int64()) for name in _COUNTS),
    ("max_abs", pa.float64()),
    ("sparsity", pa.float64()),
    *((name, pa.float64()) for name in _MEDIANS),
    ("l1", pa.float64()),
    ("l2", pa.float64()),
]

LATER = ("applied", "network", "note")
"""Columns of layers, after `depth_source`, that scans of earlier versions lack."""

LAYERS = pa.schema(
    [
        ("model", pa.string()),
        ("layer", pa.string()),
        ("step", pa.int64()),
        *((name, pa.string()) for name in ("format", "axes", "dtype", "spatial")),
        *((name, pa.int64()) for name in ("out_channels", "in_channels", "groups")),
        ("depthwise", pa.bool_()),
        ("depth", pa.int64()),
        ("relative_depth", pa.float64()),
        ("depth_source", pa.string()),
        *((name, pa.string()) for name in LATER),
        *_QUALITY,
        ("verdict", pa.string()),
        ("because", pa.string()),
    ]
)

MODELS = pa.schema(
    [
        ("model", pa.string()),
        ("step", pa.int64()),
        ("format", pa.string()),
        ("bytes", pa.int64()),
        ("n_layers", pa.int64()),
        *_QUALITY,
        ("n_degenerate", pa.int64()),
        ("verdict", pa.string()),
    ]
)
