"""Layer statistics of kernels that are in memory already: the passes of a scan without a checkpoint."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .._traced import INSIDE, check_computed
from ..converters.internal import kernels_of
from ..errors import CheckpointError
from ..kernels import Kernels
from ..scans.internal import LayerStatistics, pooled_moments
from ..statistics import Basis, fit_basis
from ._bins import Bins, Opened, Pass, data_free_edges
from ._options import DEFAULTS, Options
from ._stream import coefficient_range, collect


class Measured(NamedTuple):
    """Statistics of layers, in their order, with the basis and the edges of their histograms."""

    statistics: LayerStatistics
    basis: Basis
    edges: Float[np.ndarray, " edges"]


def measure(
    kernels: Any,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
) -> Measured:
    """Measure the convolution layers of kernels in memory, as a scan measures those of a checkpoint.

    The kernels pass through the devices in the blocks of a scan: once for the moments, then for the
    histograms, and in between for the range of the data if the options ask for that.

    Args:
        kernels: `Kernels`, or what holds them: a module, parameters or a path. Layers of another kernel
            size are left out.
        options: kernel size, population, range and the like.
        basis: a basis to use instead of fitting one.

    Returns:
        The statistics of the layers in the order of the kernels, the basis, and the edges of the bins.

    Raises:
        ValueError: no basis is given, and the kernels are too few or too alike to fit one; or under jit.

    >>> import jfilters as jf, numpy as np
    >>> weights = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    >>> measured = jf.measure(jf.from_params({"conv.weight": weights}, axes="OIHW"))
    >>> measured.statistics.n_kernels.tolist(), measured.statistics.histogram.shape
    ([32], (1, 9, 70))
    """
    chosen, back = _largest_first(_chosen(kernels, options))
    statistics = _first(chosen, options, with_normalized=True)

    def opened() -> list[Opened]:
        return _opened(chosen, statistics)

    basis = fit_basis(pooled_moments(statistics.normalized)) if basis is None else basis
    edges = data_free_edges(options)
    if edges is None:
        edges = np.linspace(*coefficient_range(opened(), options, basis, _never), options.bins + 1)
    _drain(opened(), Pass(options, bins=Bins(basis, edges)))
    return Measured(statistics.take(back), basis, edges)


def measure_quality(kernels: Any, options: Options = DEFAULTS) -> LayerStatistics:
    """Measure what the quality metrics need of kernels in memory, in one pass.

    The histograms and the moments of normalized kernels stay empty; everything else equals the statistics
    of `measure`. No basis is fitted, so that any number of kernels is enough.

    Args:
        kernels: those that `measure` takes.
        options: kernel size, sparsity threshold and the like.

    Returns:
        The statistics of the layers, in the order of the kernels.

    Raises:
        ValueError: the options are without quality; or under jit.
    """
    if not options.quality:
        raise ValueError("expected options with quality, got Options(quality=False)")
    chosen, back = _largest_first(_chosen(kernels, options))
    return _first(chosen, options, with_normalized=False).take(back)


def _chosen(network: Any, options: Options) -> Kernels:
    kernels = kernels_of(network)
    check_computed(kernels.weights, "a scan of kernels", INSIDE)
    return kernels.select(spatial=options.spatial)


def _largest_first(kernels: Kernels) -> tuple[Kernels, Int[np.ndarray, " layers"]]:
    """The same layers, large ones first, and where each of them went.

    Large layers keep the devices at work while the host packs the small ones.
    """
    order = np.argsort([-weight.size for weight in kernels.weights], kind="stable")
    weights, layers = (tuple(x[i] for i in order) for x in (kernels.weights, kernels.layers))
    return Kernels(weights, layers), np.argsort(order)


def _first(chosen: Kernels, options: Options, *, with_normalized: bool) -> LayerStatistics:
    statistics = LayerStatistics.empty(len(chosen), options.d, options.bins)
    _drain(_opened(chosen, statistics), Pass(options, first=True, with_normalized=with_normalized))
    return statistics


def _opened(kernels: Kernels, statistics: LayerStatistics) -> list[Opened]:
    return [(0, statistics, (np.asarray(weight, np.float32) for _, weight in kernels))]


def _drain(opened: list[Opened], purpose: Pass) -> None:
    for _ in collect(opened, purpose, _never):
        pass


def _never(index: int, error: CheckpointError) -> None:
    raise error
