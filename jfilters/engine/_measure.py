"""LayerStatistics of kernels that are in memory already: the passes of a scan without a checkpoint."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..errors import CheckpointError
from ..kernels import Kernels
from ..scans.internal import LayerStatistics, pooled_moments
from ..statistics import Basis, fit_basis
from ._bins import Bins, Opened, Pass, data_free_edges
from ._options import DEFAULTS, Options
from ._stream import coefficient_range, collect


class Measured(NamedTuple):
    """The cards of the layers, in their order, and the basis and edges that their histograms are in."""

    cards: LayerStatistics
    basis: Basis
    edges: Float[np.ndarray, " edges"]


def measure(
    kernels: Kernels,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
) -> Measured:
    """What a scan would find in these kernels: a card for each layer of the chosen spatial shape.

    Raises ValueError where no basis is given and the kernels are too few or too alike to fit one.
    """
    chosen, back = _largest_first(kernels.select(spatial=options.spatial))
    cards = _first(chosen, options, with_normalized=True)

    def opened() -> list[Opened]:
        return _opened(chosen, cards)

    basis = fit_basis(pooled_moments(cards.normalized)) if basis is None else basis
    edges = data_free_edges(options)
    if edges is None:
        edges = np.linspace(*coefficient_range(opened(), options, basis, _never), options.bins + 1)
    _drain(opened(), Pass(options, bins=Bins(basis, edges)))
    return Measured(cards.take(back), basis, edges)


def measure_quality(kernels: Kernels, options: Options = DEFAULTS) -> LayerStatistics:
    """The cards of `measure` with what the quality metrics need alone, in one pass.

    Without histograms and moments of normalized kernels. Raises ValueError for options without quality.
    """
    if not options.quality:
        raise ValueError("expected options with quality, got Options(quality=False)")
    chosen, back = _largest_first(kernels.select(spatial=options.spatial))
    return _first(chosen, options, with_normalized=False).take(back)


def _largest_first(kernels: Kernels) -> tuple[Kernels, Int[np.ndarray, " layers"]]:
    """The same layers, large ones first, and where each of them went.

    Large layers keep the devices at work while the host packs the small ones.
    """
    order = np.argsort([-weight.size for weight in kernels.weights], kind="stable")
    weights, layers = (tuple(x[i] for i in order) for x in (kernels.weights, kernels.layers))
    return Kernels(weights, layers), np.argsort(order)


def _first(chosen: Kernels, options: Options, *, with_normalized: bool) -> LayerStatistics:
    cards = LayerStatistics.empty(len(chosen), options.d, options.bins)
    _drain(_opened(chosen, cards), Pass(options, first=True, with_normalized=with_normalized))
    return cards


def _opened(kernels: Kernels, cards: LayerStatistics) -> list[Opened]:
    return [(0, cards, (np.asarray(weight, np.float32) for _, weight in kernels))]


def _drain(opened: list[Opened], purpose: Pass) -> None:
    for _ in collect(opened, purpose, _never):
        pass


def _never(index: int, error: CheckpointError) -> None:
    raise error
