"""The single list of what a scan's tables and arrays hold, with its version.

The writer, the reader, the checks of a file and docs/outputs.md are all made from this list. A new column
is one entry here, a value in the engine's row of a layer, and for a model the way in which its layers are
pooled.
"""

import pyarrow as pa

from ._fields import Column as Column
from ._fields import StoredArray as StoredArray
from ._fields import arrow_schema as arrow_schema
from ._pool import (
    largest,
    median,
    n_degenerate,
    n_layers,
    root_of_squares,
    share_sparse,
    sum_of_counts,
    sum_of_numbers,
    worst_verdict,
)

VERSION = 1
"""Of the schema, in scan.json under `schema`. A reader takes any scan of this version or an earlier one."""

_TEXT, _INT, _REAL, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_CNN = "arXiv:2203.15331"

_IDENTITY = (
    Column(
        "model",
        _TEXT,
        "checkpoint, as a path below the scanned folder; `/` and a member where it holds several networks",
        nullable=False,
    ),
    Column("layer", _TEXT, "name of the layer's weight in the checkpoint", nullable=False),
    Column("step", _INT, "training step, of the folders of a checkpoint manager"),
    Column("format", _TEXT, "format that the checkpoint was read as"),
    Column("axes", _TEXT, "order of the stored axes, such as OIHW"),
    Column("dtype", _TEXT, "type of the stored numbers"),
    Column("spatial", _TEXT, "kernel size, such as 3x3", unit="taps"),
    Column("out_channels", _INT, "output channels", unit="channels"),
    Column(
        "in_channels",
        _INT,
        "input channels of all groups; null where the groups are unknown",
        unit="channels",
    ),
    Column(
        "groups", _INT, "groups of a grouped convolution; null where the checkpoint does not tell"
    ),
    Column(
        "depthwise", _BOOL, "every group has one input channel; null where the groups are unknown"
    ),
    Column("depth", _INT, "rank among the convolutions of the network, from 0", nullable=False),
    Column("relative_depth", _REAL, "the same rank, scaled", unit="0 to 1"),
    Column(
        "depth_source",
        _TEXT,
        "origin of the rank: graph, registration-order or name-order",
        source="METHOD, Depth",
    ),
    Column(
        "applied",
        _TEXT,
        "operation from the stored arrays to the effective weight, `as stored` where there is none",
        optional=True,
    ),
    Column("network", _TEXT, "part of the checkpoint that the layer was read from", optional=True),
    Column("note", _TEXT, "assumption about the layer", optional=True),
)

_NUMBERS = (
    Column(
        "n_kernels",
        _INT,
        "kernels, whatever their values",
        unit="kernels",
        nullable=False,
        pool=sum_of_counts,
    ),
    Column(
        "n_zero", _INT, "kernels of zeros alone", unit="kernels", nullable=False, pool=sum_of_counts
    ),
    Column(
        "n_sparse",
        _INT,
        "kernels with no weight of at least `sparse_eps` times the layer's largest",
        unit="kernels",
        nullable=False,
        source="METHOD, Sparsity",
        pool=sum_of_counts,
    ),
    Column(
        "n_nonfinite",
        _INT,
        "kernels with a NaN or an infinity, which enter nothing else",
        unit="kernels",
        nullable=False,
        pool=sum_of_counts,
    ),
    Column("max_abs", _REAL, "largest absolute weight", unit="weight", pool=largest),
    Column(
        "sparsity",
        _REAL,
        "sparse kernels over finite kernels",
        unit="0 to 1",
        source=_CNN,
        pool=share_sparse,
    ),
    Column(
        "variance_entropy",
        _REAL,
        "entropy of the variance spectrum, to base 10",
        unit="0 to log10(d)",
        source=_CNN,
        pool=median,
    ),
    Column(
        "variance_entropy_ratio",
        _REAL,
        "variance entropy over the threshold of random kernels",
        source=_CNN,
        pool=median,
    ),
    Column(
        "variance_entropy_clean",
        _REAL,
        "variance entropy without sparse kernels",
        unit="0 to log10(d)",
        pool=median,
    ),
    Column("variance_entropy_clean_ratio", _REAL, "the same over its threshold", pool=median),
    Column(
        "orthogonality",
        _REAL,
        "1 less the mean |cos| of distinct output channels",
        unit="0 to 1",
        source=_CNN,
        pool=median,
    ),
    Column("l1", _REAL, "sum of absolute finite weights", unit="weight", pool=sum_of_numbers),
    Column(
        "l2", _REAL, "Euclidean length of the finite weights", unit="weight", pool=root_of_squares
    ),
)

LAYER_COLUMNS: tuple[Column, ...] = (
    *_IDENTITY,
    *_NUMBERS,
    Column("verdict", _TEXT, "quality in a word", nullable=False, source="METHOD, Degeneration"),
    Column("reason", _TEXT, "number behind the verdict", formerly="because"),
)
"""The columns of layers.parquet, one row a layer in the order of depth. Metadata follows in further
columns."""

MODEL_COLUMNS: tuple[Column, ...] = (
    Column("model", _TEXT, "name, as in layers.parquet", nullable=False),
    Column("step", _INT, "training step, of the folders of a checkpoint manager"),
    Column("format", _TEXT, "format that the checkpoint was read as"),
    Column(
        "bytes",
        _INT,
        "size of all files of the checkpoint; null for a network of a population",
        unit="bytes",
    ),
    Column(
        "n_layers",
        _INT,
        "layers of the scanned kernel size",
        unit="layers",
        nullable=False,
        pool=n_layers,
    ),
    *_NUMBERS,
    Column(
        "n_degenerate",
        _INT,
        "layers that are random-like, collapsed or all-zero",
        unit="layers",
        pool=n_degenerate,
    ),
    Column(
        "verdict", _TEXT, "most worrying verdict of its layers", nullable=False, pool=worst_verdict
    ),
)
"""The columns of models.parquet, one row a model with layers; its numbers pool those of the layers."""

MOMENTS = ("normalized", "raw", "clean")
"""Of normalized kernels; of kernels as stored; of those without sparse kernels."""

MOMENT_PARTS = ("count", "mean", "scatter")

_MEANINGS = {
    "normalized": "normalized kernels",
    "raw": "kernels as stored",
    "clean": "kernels as stored, without sparse ones",
}
_PARTS = {
    "count": ((), "number of finite"),
    "mean": (("d",), "mean of"),
    "scatter": (("d", "d"), "sum of outer products about the mean of"),
}

ARRAYS: tuple[StoredArray, ...] = (
    StoredArray(
        "basis.mean",
        "float64",
        ("d",),
        "mean of the normalized kernels of the basis",
        required=True,
    ),
    StoredArray(
        "basis.components", "float64", ("d", "d"), "principal components, one a row", required=True
    ),
    StoredArray(
        "basis.variance_ratio",
        "float64",
        ("d",),
        "share of the variance of each component",
        required=True,
    ),
    StoredArray(
        "edges",
        "float64",
        ("edges",),
        "edges of the bins, the same for all components",
        required=True,
    ),
    StoredArray(
        "histogram",
        "int64",
        ("layers", "d", "bins"),
        "coefficients of all finite kernels along each component",
        unit="kernels",
        required=True,
        nonnegative=True,
    ),
    StoredArray(
        "sparse_histogram",
        "int64",
        ("layers", "d", "bins"),
        "part of `histogram` that sparse kernels make",
        unit="kernels",
        nonnegative=True,
    ),
    StoredArray(
        "sparse_at",
        "int64",
        ("layers", "k"),
        "sparse kernels for each value of `sparse_eps`",
        unit="kernels",
        together="sparse",
        nonnegative=True,
    ),
    StoredArray(
        "sparse_eps",
        "float64",
        ("k",),
        "thresholds, as shares of the layer's largest weight",
        together="sparse",
    ),
    StoredArray(
        "sample",
        "float32",
        ("m", "d"),
        "sampled kernels of each model, as stored",
        unit="weight",
        together="sample",
    ),
    StoredArray(
        "sample.layer",
        "int64",
        ("m",),
        "row of the layer of each sampled kernel",
        together="sample",
        nonnegative=True,
    ),
    *(
        StoredArray(
            f"{moments}.{part}",
            "float64",
            ("layers", *axes),
            f"{meaning} {_MEANINGS[moments]}",
            together=moments,
        )
        for moments in MOMENTS
        for part, (axes, meaning) in _PARTS.items()
    ),
    StoredArray(
        "sketch",
        "int8",
        ("sketch_rows", "width"),
        "random projections of the directions of the kernels, the rows of all layers in their order",
        together="sketch",
    ),
    StoredArray(
        "sketch.rows",
        "int64",
        ("layers",),
        "rows of `sketch` that a layer has, a power of two from 1 to 64",
        together="sketch",
        nonnegative=True,
    ),
    StoredArray(
        "sketch.kernels",
        "int64",
        ("layers",),
        "kernels that entered the sketch, which are neither zero nor infinite",
        unit="kernels",
        together="sketch",
        nonnegative=True,
    ),
    StoredArray(
        "sketch.spread",
        "float64",
        ("layers",),
        "effective dimension of the directions of these kernels",
        together="sketch",
        nonnegative=True,
    ),
    StoredArray(
        "sketch.zeros",
        "float64",
        ("layers",),
        "share of zeros among the weights that were looked at",
        unit="0 to 1",
        together="sketch",
        nonnegative=True,
    ),
    StoredArray(
        "kernel_hash",
        "int64",
        ("hashes",),
        "smallest hashes of the kernels of each model, by which equal kernels are found",
        together="sketch",
    ),
    StoredArray(
        "kernel_hash.layer",
        "int64",
        ("hashes",),
        "row of the layer of each hash, ascending",
        together="sketch",
        nonnegative=True,
    ),
)
"""The arrays of arrays.safetensors."""

LAYERS, MODELS = arrow_schema(LAYER_COLUMNS), arrow_schema(MODEL_COLUMNS)
ARRAY = {array.name: array for array in ARRAYS}
