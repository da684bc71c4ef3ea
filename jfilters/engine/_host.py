"""The passes in NumPy: the host twin of `_stream`, for a few small checkpoints.

XLA takes a second to start and to compile, in which NumPy measures some million kernels. Sums are in
float64 where the device's are in float32; tests/engine/test_host.py holds both together.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float

from ..errors import CheckpointError
from ..scans.internal import LayerStatistics
from ..scans.schema import MOMENT_PARTS
from ..statistics import Basis, Moments
from ..statistics.internal import (
    EPSILONS,
    host_coefficients,
    host_histogram,
    host_max_abs,
    host_normalize,
    host_normalize_in_half,
    host_orthogonality,
    host_set_moments,
)
from ._bins import Bins, OnFailure, Opened, Pass
from ._options import Options
from ._prepare import Prepared, prepare

Rows = Float[np.ndarray, "n d"]
Mask = Bool[np.ndarray, " n"]

_POSITIVE = np.finfo(np.float32).tiny
"""Relative weights below it are zero on the device."""


def collect(checkpoints: Iterable[Opened], purpose: Pass, on_failure: OnFailure) -> Iterator[int]:
    """Fill the statistics of each checkpoint in place; yield its index as soon as it is complete."""
    for index, statistics, weights in checkpoints:
        try:
            for row, weight in enumerate(weights):
                _fill(statistics, row, weight, purpose)
        except CheckpointError as error:
            on_failure(index, error)
        else:
            yield index


def coefficient_range(
    checkpoints: Iterable[Opened], options: Options, basis: Basis, on_failure: OnFailure
) -> tuple[float, float]:
    """Return the smallest and largest coefficient over all kernels; inf and -inf without kernels."""
    low, high = np.inf, -np.inf
    for index, _, weights in checkpoints:
        try:
            for weight in weights:
                prepared = prepare(weight)
                rows = _population(prepared, options)
                coefficients = host_coefficients(host_normalize(rows), basis)
                low = min(low, float(coefficients.min(initial=np.inf)))
                high = max(high, float(coefficients.max(initial=-np.inf)))
        except CheckpointError as error:
            on_failure(index, error)
    return low, high


def _fill(statistics: LayerStatistics, row: int, weight: np.ndarray, purpose: Pass) -> None:
    prepared, options = prepare(weight), purpose.options
    if purpose.first:
        statistics.n_finite[row] = len(prepared.rows)
        statistics.n_nonfinite[row] = prepared.n_nonfinite
        statistics.max_abs[row] = prepared.max_abs
        if options.quality and options.orthogonality and prepared.n_nonfinite == 0:
            statistics.orthogonality[row] = host_orthogonality(weight)
    if purpose.moments:
        _fill_moments(statistics, row, prepared, purpose)
    if purpose.bins is not None:
        _fill_histograms(statistics, row, prepared, options, purpose.bins)


def _fill_moments(statistics: LayerStatistics, row: int, prepared: Prepared, purpose: Pass) -> None:
    options = purpose.options
    if purpose.with_normalized:
        rows = _population(prepared, options)
        _put(statistics.normalized, row, host_set_moments(host_normalize(rows)), 1.0)
    if options.quality:
        unit, sparse = prepared.rows / np.float32(prepared.scale), _is_sparse(prepared, options)
        _put(statistics.raw, row, host_set_moments(unit), prepared.max_abs)
        _put(statistics.clean, row, host_set_moments(unit[~sparse]), prepared.max_abs)
        relative = _relative(prepared)
        statistics.n_zero[row] = np.count_nonzero(relative < _POSITIVE)
        statistics.n_sparse[row] = np.count_nonzero(sparse)
        statistics.n_below[row] = [np.count_nonzero(relative < eps) for eps in EPSILONS]
        statistics.sum_abs[row] = np.abs(unit).sum(dtype=np.float64) * prepared.max_abs


def _fill_histograms(
    statistics: LayerStatistics, row: int, prepared: Prepared, options: Options, bins: Bins
) -> None:
    coefficients = host_coefficients(host_normalize(_population(prepared, options)), bins.basis)
    statistics.histogram[row] += host_histogram(coefficients, bins.edges)
    low, high = np.float32(bins.edges[0]), np.float32(bins.edges[-1])
    statistics.n_outside[row] += np.count_nonzero((coefficients < low) | (coefficients > high))
    if options.quality and options.population == "all":
        sparse = coefficients[_is_sparse(prepared, options)]
        statistics.sparse_histogram[row] += host_histogram(sparse, bins.edges)


def _put(moments: Moments, row: int, values: Moments, unit: float) -> None:
    """Write the moments of one layer, of kernels in multiples of `unit`, into a row of stacked ones."""
    for name, power in zip(MOMENT_PARTS, (0, 1, 2), strict=True):
        getattr(moments, name)[row] = np.asarray(getattr(values, name)) * unit**power


def _population(prepared: Prepared, options: Options) -> Rows:
    """Return the kernels whose shapes are looked at, in the precision that they are looked at in."""
    rows = prepared.rows
    if options.population == "clean":
        rows = rows[~_is_sparse(prepared, options)]
    return host_normalize_in_half(rows) if options.dtype == "float16" else rows


def _is_sparse(prepared: Prepared, options: Options) -> Mask:
    relative, eps = _relative(prepared), np.float32(options.sparse_eps)
    below = relative < eps if options.sparse_strict else relative <= eps
    return below | (prepared.max_abs == 0)


def _relative(prepared: Prepared) -> Float[np.ndarray, " n"]:
    """Return the largest absolute weight of each kernel as a share of its layer's."""
    return host_max_abs(prepared.rows) / np.float32(prepared.scale)
