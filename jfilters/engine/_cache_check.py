"""The check of cached statistics: they are believed only where they are what such a checkpoint can have.

A checksum tells a damaged file, not a false one. Types, shapes and signs are those of the layers that the
entry names, and counts add up to their kernels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..lineage.internal import WIDTH
from ..scans.internal import READ
from ..statistics import Moments
from ..statistics.internal import EPSILONS
from ._checkpoint_statistics import CheckpointStatistics
from ._options import Options
from ._plan import Entry

_NUMBERS = (int, float, str, bool, type(None))
_LAYER = {
    **dict.fromkeys(
        ("name", "depth_source", "axes", "dtype", "applied", "network", "note"), (str,)
    ),
    **{"depth": (int,), "relative_depth": (int, float), "transposed": (bool,)},
    "groups": (int, type(None)),
}


def checked(
    statistics: CheckpointStatistics, sha256: str, options: Options
) -> CheckpointStatistics:
    """Return statistics that can be those of a checkpoint of this content. Raises ValueError for others."""
    entry = statistics.entry
    _check_entry(entry, sha256)
    _check_layers(entry, options)
    kernels = np.array([planned.n_kernels for planned in entry.layers], np.int64)
    _check_counts(statistics, kernels, options)
    _check_histograms(statistics, options)
    _check_sample(statistics, options)
    _check_sketches(statistics)
    return statistics


def _check_entry(entry: Entry, sha256: str) -> None:
    _require(entry.status in (*READ, "empty"), "status")
    for value in (entry.format, entry.reason):
        _require(value is None or type(value) is str, "texts")
    _require(entry.updates is None or type(entry.updates) is int, "updates")
    _require(entry.batchnorm is None or type(entry.batchnorm) is bool, "batchnorm")
    _require(entry.sha256 in (None, sha256), "hash")
    _require(all(type(x) is str and type(n) is int and n >= 0 for x, n in entry.skipped), "skipped")


def _check_layers(entry: Entry, options: Options) -> None:
    columns = [list(planned.metadata) for planned in entry.layers[:1]]
    for planned in entry.layers:
        sizes = planned.shape
        _require(all(type(size) is int and 0 < size < 1 << 40 for size in sizes), "sizes")
        _require(sizes[2:] == tuple(options.spatial) and len(sizes) > 2, "shape")
        _require(type(planned.member) is str, "member")
        _require([list(planned.metadata)] == columns, "columns")
        _require(all(type(cell) in _NUMBERS for cell in planned.metadata.values()), "metadata")
        for name, kinds in _LAYER.items():
            _require(type(getattr(planned.layer, name)) in kinds, name)


def _check_counts(statistics: CheckpointStatistics, kernels: np.ndarray, options: Options) -> None:
    layers, n, d = statistics.layers, len(kernels), options.d
    for name in ("n_finite", "n_zero", "n_sparse", "n_nonfinite", "n_outside"):
        _check_array(getattr(layers, name), np.int64, (n,), name)
    _check_array(layers.n_below, np.int64, (n, len(EPSILONS)), "n_below")
    _require(bool((layers.n_kernels == kernels).all()), "kernels")
    for counts in (layers.n_zero, layers.n_sparse, *layers.n_below.T):
        _require(bool((counts <= layers.n_finite).all()), "counts")
    for name in ("max_abs", "sum_abs"):
        _check_array(getattr(layers, name), np.float64, (n,), name)
    _check_array(layers.orthogonality, np.float64, (n,), "orthogonality", has_gaps=True)
    for name in ("normalized", "raw", "clean"):
        _check_moments(getattr(layers, name), layers.n_finite, d)


def _check_moments(moments: Moments, n_finite: np.ndarray, d: int) -> None:
    n = len(n_finite)
    count, mean, scatter = (np.asarray(part) for part in moments)
    _check_array(count, np.float64, (n,), "count")
    _require(bool((count <= n_finite).all()), "count")
    _check_array(mean, np.float64, (n, d), "mean", is_signed=True)
    _check_array(scatter, np.float64, (n, d, d), "scatter", is_signed=True)
    _require(
        bool((np.diagonal(scatter, axis1=1, axis2=2) >= -1e-9 * _scale(scatter)).all()), "sign"
    )


def _scale(scatter: np.ndarray) -> np.ndarray:
    return np.abs(scatter).max(axis=(1, 2), initial=0.0)[:, None]


def _check_histograms(statistics: CheckpointStatistics, options: Options) -> None:
    layers, key = statistics.layers, statistics.bins_key
    _require(key is None or type(key) is str, "bins")
    shape = (len(layers), options.d, options.bins)
    for name in ("histogram", "sparse_histogram"):
        counts = getattr(layers, name)
        _require(counts.dtype.kind in "iu" and counts.shape == shape, name)
        if any(counts.strides):  # those without counts are zeros that take no memory
            _require(int(counts.min(initial=0)) >= 0, name)
            totals = counts.sum(axis=2, dtype=np.float64)
            _require(bool((totals <= layers.n_finite[:, None]).all()), name)
    if any(layers.sparse_histogram.strides):
        _require(bool((layers.sparse_histogram <= layers.histogram).all()), "sparse_histogram")


def _check_sample(statistics: CheckpointStatistics, options: Options) -> None:
    sample, n = statistics.sample, len(statistics.layers)
    m = len(sample.layer)
    _check_array(sample.kernels, np.float32, (m, options.d), "sample", is_signed=True)
    _check_places(sample.layer, n, "sample.layer")
    marks = sample.marks()
    _require(marks.dtype == bool and marks.shape == (m,), "sample.is_even")


def _check_sketches(statistics: CheckpointStatistics) -> None:
    sketches, n = statistics.sketches, len(statistics.layers)
    _check_array(sketches.n_rows, np.int64, (n,), "sketches.n_rows")
    rows = int(np.minimum(sketches.n_rows, 1 << 20).sum())
    _require(
        sketches.rows.dtype == np.int8 and sketches.rows.shape == (rows, WIDTH), "sketches.rows"
    )
    _check_array(sketches.n, np.int64, (n,), "sketches.n")
    for name in ("spread", "zeros"):
        _check_array(getattr(sketches, name), np.float64, (n,), f"sketches.{name}")
    _check_places(sketches.hash_layer, n, "sketches.hash_layer")
    _require(sketches.hashes.dtype == np.int64, "sketches.hashes")
    _require(sketches.hashes.shape == sketches.hash_layer.shape, "sketches.hashes")


def _check_places(places: np.ndarray, n: int, name: str) -> None:
    _check_array(places, np.int64, (places.size,), name)
    _require(bool((places < n).all()), name)


def _check_array(
    array: np.ndarray,
    dtype: Any,
    shape: Sequence[int],
    name: str,
    *,
    is_signed: bool = False,
    has_gaps: bool = False,
) -> None:
    """Require a type, a shape, finite numbers, and none below 0 unless they have signs."""
    _require(array.dtype == dtype and array.shape == tuple(shape), name)
    values = array[~np.isnan(array)] if has_gaps else array
    if values.dtype.kind == "f":
        _require(bool(np.isfinite(values).all()), name)
    _require(is_signed or bool((values >= 0).all()), name)


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"no statistics of such a checkpoint: {name}")
