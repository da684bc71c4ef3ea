"""Drift between the deciles of relative depth, and of each decile from all other layers."""

from typing import TYPE_CHECKING

import numpy as np

from ...questions import Pair, drift_between, drift_from_others
from ...scans import Scan
from ._canvas import ACCENT, FAINT, PAGE, Canvas, GivenCanvas, figure_on
from ._drift_map import drift_map
from ._names import name_ticks

if TYPE_CHECKING:
    import matplotlib.axes


def depth_deciles(
    scan: Scan, figure: GivenCanvas = None, *, clean: bool = False, permutations: int = 1000
) -> Canvas:
    """Draw the drift between all deciles of depth, and beside it of each from all other layers, in nats.

    Blue bars are shifted by the rules of docs/drift.md, gray ones are not; the black line in a bar is the
    95 % quantile of the sampling null.

    Raises ValueError for layers of one decile.

    Source: Gavrikov & Keuper, CVPRW 2022, arXiv:2204.02481.
    """
    table = drift_between(scan, "depth_decile", clean=clean, permutations=permutations)
    pairs = drift_from_others(scan, "depth_decile", clean=clean, permutations=permutations)
    with figure_on(figure, PAGE, 3.1) as canvas:
        map_axes, bar_axes = canvas.subplots(1, 2, width_ratios=(1, 1.05))
        drift_map(table, map_axes)
        map_axes.set(xlabel="decile of relative depth", ylabel="decile of relative depth")
        _bars(bar_axes, pairs)
    return canvas


def _bars(ax: "matplotlib.axes.Axes", pairs: tuple[Pair, ...]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    values = [np.nan if pair.value is None else pair.value for pair in pairs]
    colors = [ACCENT if pair.label == "shifted" else FAINT for pair in pairs]
    ax.bar(range(len(pairs)), values, color=colors, width=0.75)
    for place, pair in enumerate(pairs):
        if pair.sampling_null is not None:
            ax.hlines(
                pair.sampling_null.quantile95,
                place - 0.45,
                place + 0.45,
                color="black",
                linewidth=0.9,
            )
    name_ticks(ax.xaxis, [pair.first for pair in pairs], rotation=90)
    ax.set(xlabel="decile of relative depth", ylabel="D from all other layers (nats)")
    handles = [
        Patch(color=ACCENT, label="shifted"),
        Patch(color=FAINT, label="within null, no test, or too few kernels"),
        Line2D([], [], color="black", label="sampling null, 95 %"),
    ]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, frameon=False)
