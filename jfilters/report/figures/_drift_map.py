"""The drift between all groups of an axis as a map, with a mark for what is no more than the null."""

import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ...questions import DriftTable, drift_between
from ...questions.internal import marks
from ...scans import Scan
from ...shift import METRICS
from ._canvas import COLUMN, PAGE, SEQUENTIAL, GivenAxes, axes_on, plain_numbers
from ._names import name_ticks

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.colors

MOST_NAMES = 60
"""Groups with a name of their own beside the map."""

MARKS = {"shifted": "D", "within null": "o", "too few kernels": "x"}
"""The markers of pairs by their label; a pair without a marker has no test."""

_LEAST = 1e-4  # nats; what is smaller, as between copies of one model, has the color of this
_SPAN = 2.0  # the scale goes at least so many times below and above its middle
_WIDE = 14  # groups from which on the map takes both columns

Source = Scan | DriftTable


def drift_map(
    source: Source,
    ax: GivenAxes = None,
    *,
    by: str = "model",
    metric: str = "drift",
    clean: bool = False,
    permutations: int = 1000,
) -> "matplotlib.axes.Axes":
    """Draw the matrix of drift between the groups of the axis `by`, row against column, in nats.

    Dark is near, bright is far, on a logarithmic scale, which pairs of too few kernels do not stretch. A
    diamond marks a pair that is shifted, a circle one within the null, a cross one of too few kernels
    (docs/drift.md has the rules). Instead of a scan a `DriftTable` may be given, which knows the question.

    Raises ValueError for an axis or a metric that is not there, and for fewer than two groups.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    table = (
        source
        if isinstance(source, DriftTable)
        else drift_between(source, by, metric=metric, clean=clean, permutations=permutations)
    )
    side = PAGE if len(table.labels) > _WIDE else COLUMN
    with axes_on(ax, side, 0.92 * side) as axes:
        _map(axes, table)
        _marked(axes, table)
        _named(axes, table)
    return axes


def _map(ax: "matplotlib.axes.Axes", table: DriftTable) -> None:
    values = table.matrix.copy()
    np.fill_diagonal(values, np.nan)
    image = ax.imshow(
        values, cmap=SEQUENTIAL, norm=_scale(_readable(table)), interpolation="nearest"
    )
    ax.set_facecolor("0.92")
    unit = METRICS[table.metric].unit
    name = "D" if table.metric == "drift" else table.metric
    label = name if unit == "none" else f"{name} ({unit})"
    figure = ax.get_figure(root=False)
    if figure is not None:
        bar = figure.colorbar(image, ax=ax, label=label, fraction=0.046, pad=0.02)
        bar.outline.set_visible(False)
        plain_numbers(bar.ax.yaxis, *image.get_clim())


def _readable(table: DriftTable) -> Float[np.ndarray, " pairs"]:
    """Return the values of all pairs but those of too few kernels; of all if there is no other."""
    pairs = [pair for pair in table.pairs if not pair.is_of_few_kernels] or table.pairs
    return np.array([pair.value for pair in pairs], float)


def _scale(values: Float[np.ndarray, " pairs"]) -> "matplotlib.colors.LogNorm":
    from matplotlib.colors import LogNorm

    finite = values[np.isfinite(values)]
    least, most = (max(float(end), _LEAST) for end in (np.min(finite), np.max(finite)))
    middle = math.sqrt(least * most)
    return LogNorm(min(least, middle / _SPAN), max(most, middle * _SPAN), clip=True)


def _marked(ax: "matplotlib.axes.Axes", table: DriftTable) -> None:
    size = min(3.0, 60 / len(table.labels))
    norm, handles = ax.images[0].norm, []
    labels = marks(table)
    for name, marker in MARKS.items():
        places = [place for place, label in labels.items() if label == name]
        if not places:
            continue
        rows, columns = np.array(places).T
        values = np.array(norm(table.matrix[rows, columns]))
        colors = np.where(values > 0.6, "black", "white")
        for color in ("black", "white"):
            at = colors == color
            style = {"marker": marker, "markersize": size, "color": color, "linestyle": "none"}
            ax.plot(columns[at], rows[at], fillstyle="none", markeredgewidth=0.5, **style)
        handles.append(_handle(marker, name))
    if "no test" in labels.values():
        handles.append(_handle("", "no mark: no test"))
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderpad": 0, "frameon": False}
    ax.legend(handles=handles, handlelength=1, labelspacing=0.2, **where)


def _handle(marker: str, label: str):
    from matplotlib.lines import Line2D

    style = {"markersize": 3, "markeredgewidth": 0.5, "fillstyle": "none", "linestyle": "none"}
    return Line2D([], [], marker=marker, color="black", label=label, **style)


def _named(ax: "matplotlib.axes.Axes", table: DriftTable) -> None:
    for spine in ax.spines.values():
        spine.set_visible(False)
    if len(table.labels) <= MOST_NAMES:
        name_ticks(ax.xaxis, table.labels, rotation=90)
        name_ticks(ax.yaxis, table.labels)
    else:
        ax.set_xlabel(f"{len(table.labels)} groups of {table.by}, in the order of their names")
    # Lines of the background between cells keep neighbors apart.
    ax.set_xlim(-0.5, len(table.labels) - 0.5)
    ax.set_ylim(len(table.labels) - 0.5, -0.5)
