"""Cards of kernels that are in memory already: the passes of a scan without a checkpoint."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..kernels import Kernels
from ..statistics import Basis, fit_basis
from ._blocks import Piece
from ._card import Cards, pooled_moments
from ._collect import (
    collect_histograms,
    collect_moments,
    histogram_edges,
    piece,
)
from ._options import DEFAULTS, Options


class Measured(NamedTuple):
    """The cards of the layers, in their order, and the basis and edges that their histograms are in."""

    cards: Cards
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
    chosen = kernels.select(spatial=options.spatial)
    cards = Cards.empty(len(chosen), options.d, options.bins)

    def pieces(*, first: bool = False) -> Iterator[Piece]:
        for row, (_, weight) in enumerate(chosen):
            yield piece(cards, row, np.asarray(weight, np.float32), options, first=first)

    collect_moments(cards, pieces(first=True), options)
    basis = fit_basis(pooled_moments(cards.normalized)) if basis is None else basis
    edges = histogram_edges(pieces, basis, options)
    collect_histograms(cards, pieces(), basis, edges)
    return Measured(cards, basis, edges)
