"""The arrays of a scan, which `schema` lists beside the columns of its tables."""

from ._fields import StoredArray

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
    StoredArray(
        "sample.is_even",
        "bool",
        ("marks",),
        "drawn evenly from all kernels of the model; the others complete layers to 64, and first layers",
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
