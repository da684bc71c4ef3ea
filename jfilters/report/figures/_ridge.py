"""Ridges: the densities of the coefficients of every group along each component."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from ...questions.internal import FEWEST, coefficient_densities
from ...scans import Scan, group_layers
from ._canvas import ACCENT, FAINT, PAGE, Canvas, GivenCanvas, figure_on
from ._limits import few_enough
from ._names import name_ticks

if TYPE_CHECKING:
    import matplotlib.axes

MOST_COMPONENTS = 9
"""Components that are drawn, those with the largest share of variance."""

_HEIGHT = 0.85  # of a ridge, in distances between two
_INSIDE = 0.999  # share of the kernels between both ends of an axis


def ridge(
    scan: Scan, figure: GivenCanvas = None, *, by: str = "model", clean: bool = False
) -> Canvas:
    """Draw densities of the coefficients, a column a component and a row a group along the axis `by`.

    Every curve is as high as its own peak. Groups of fewer than 100 kernels are gray: their curves are
    mostly noise. Columns are headed by the component and its share of the variance.

    Raises ValueError for an axis that is not there, and for more groups than fit a page.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    groups = group_layers(scan, by)
    few_enough(groups)
    densities = coefficient_densities(scan, groups, clean=clean)[:, :MOST_COMPONENTS]
    counts = np.array([int(scan.histogram[g.layers, 0].sum()) for g in groups.groups])
    large, (rows, shown) = counts >= FEWEST, densities.shape[:2]
    shares = 100 * np.asarray(scan.basis.variance_ratio, np.float64)
    with figure_on(figure, PAGE, 0.7 + 0.19 * rows) as canvas:
        columns = canvas.subplots(1, shown, sharey=True, sharex=True, squeeze=False)[0]
        for component, ax in enumerate(columns):
            _column(ax, scan.edges, densities[:, component], large)
            ax.set_title(f"{component + 1}\n{shares[component]:.1f} %")
        _ends(columns[0], _end(scan.edges, densities[large] if large.any() else densities))
        columns[0].set_ylim(rows - 0.7, -1)
        name_ticks(columns[0].yaxis, [group.label for group in groups.groups])
        canvas.supxlabel("; ".join(["coefficient of a normalized kernel", *_notes(scan.d, large)]))
    return canvas


def _column(
    ax: "matplotlib.axes.Axes",
    edges: Float[np.ndarray, " edges"],
    densities: Float[np.ndarray, "groups bins"],
    large: Bool[np.ndarray, " groups"],
) -> None:
    centers = (edges[1:] + edges[:-1]) / 2
    for row, density in enumerate(densities):
        color = ACCENT if large[row] else FAINT
        top = row - _HEIGHT * density / density.max()
        ax.fill_between(centers, row, top, color=color, alpha=0.35, linewidth=0, zorder=row)
        ax.plot(centers, top, color=color, linewidth=0.6, zorder=row)
    ax.axvline(0, color=FAINT, linewidth=0.4, zorder=-1)
    ax.spines[["left", "top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _notes(d: int, large: Bool[np.ndarray, " groups"]) -> list[str]:
    """Return notes for the axis: the components left out, and the meaning of gray."""
    first = [f"the first {MOST_COMPONENTS} of {d} components"] if d > MOST_COMPONENTS else []
    return first + ([] if large.all() else [f"gray: fewer than {FEWEST} kernels"])


def _ends(ax: "matplotlib.axes.Axes", end: float) -> None:
    most = max(int(0.8 * end), 1)
    ax.set_xlim(-end, end)
    ax.set_xticks([-most, 0, most])


def _end(edges: Float[np.ndarray, " edges"], densities: Float[np.ndarray, "n d bins"]) -> float:
    """The least distance from 0 that holds nearly all coefficients of every group and component."""
    farthest = np.maximum(np.abs(edges[1:]), np.abs(edges[:-1]))
    order = np.argsort(farthest, kind="stable")
    inside = np.cumsum((densities * np.diff(edges))[..., order], axis=-1)
    return float(farthest[order][np.argmax(inside >= _INSIDE, axis=-1)].max(initial=0))
