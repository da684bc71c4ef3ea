"""Horizontal boxes, one a row: quartiles, whiskers of 1.5 box lengths, and what lies beyond."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    import matplotlib.axes

FEW = 5
"""Numbers of which every one is drawn as a point, for a box of them says nothing."""


def boxes(
    ax: "matplotlib.axes.Axes",
    samples: Sequence[Float[np.ndarray, " n"]],
    rows: Sequence[float] | range,
    color: str,
    height: float,
) -> None:
    """Draw a box of every sample at its row; its points where they are few, nothing where there is none."""
    from matplotlib.cbook import boxplot_stats

    large = [(row, values) for row, values in zip(rows, samples, strict=True) if len(values) >= FEW]
    line = {"color": color, "linewidth": 0.7}
    points = {"marker": "o", "markersize": 1.6, "color": color, "alpha": 0.7, "linestyle": "none"}
    if large:
        ax.bxp(
            [boxplot_stats(values)[0] for _, values in large],
            positions=[row for row, _ in large],
            widths=height,
            orientation="horizontal",
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": color, "alpha": 0.35, "edgecolor": color, "linewidth": 0.5},
            medianprops={"color": color, "linewidth": 1.4},
            whiskerprops=line,
            capprops=line,
            flierprops={"markeredgewidth": 0, **points, "markerfacecolor": color},
        )
    for row, values in zip(rows, samples, strict=True):
        if len(values) < FEW:
            ax.plot(values, np.full(len(values), row), **points, markeredgewidth=0)
