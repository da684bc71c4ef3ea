"""The single list of what a scan's tables and arrays hold, with its version.

The writer, the reader, the checks of a file and docs/outputs.md are all made from this list. A new column
is one entry here, a value in the engine's row of a layer, and for a model the way in which its layers are
pooled.
"""

import pyarrow as pa

from ._array_list import ARRAYS as ARRAYS
from ._array_list import MOMENT_PARTS as MOMENT_PARTS
from ._array_list import MOMENTS as MOMENTS
from ._fields import Column as Column
from ._fields import StoredArray as StoredArray
from ._fields import arrow_schema as arrow_schema
from ._pool import (
    VERDICT_COLUMNS,
    largest,
    median,
    n_degenerate,
    n_layers,
    n_with_verdict,
    root_of_squares,
    share_sparse,
    sum_of_counts,
    sum_of_numbers,
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
        "family",
        _TEXT,
        "first model of its family, the models that are kin; null if families were not looked for",
        source="METHOD, Lineage",
        optional=True,
    ),
    Column(
        "run",
        _TEXT,
        "name with a star for the step, of a model that is a step of a training run",
        optional=True,
    ),
    Column(
        "updates",
        _INT,
        "largest training step that BatchNorm counted in the checkpoint",
        unit="steps",
        optional=True,
    ),
    Column(
        "batchnorm",
        _BOOL,
        "the checkpoint holds running statistics of BatchNorm; null where it does not tell",
        optional=True,
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
    *(
        Column(
            name,
            _INT,
            f"layers that are {label}",
            unit="layers",
            source="METHOD, Degeneration",
            optional=True,
            pool=n_with_verdict,
        )
        for name, label in VERDICT_COLUMNS.items()
    ),
    Column(
        "n_degenerate",
        _INT,
        "layers that are random-like, collapsed or all-zero",
        unit="layers",
        pool=n_degenerate,
    ),
)
"""The columns of models.parquet, one row a model with layers; its numbers pool those of the layers."""

LAYERS, MODELS = arrow_schema(LAYER_COLUMNS), arrow_schema(MODEL_COLUMNS)
ARRAY = {array.name: array for array in ARRAYS}
