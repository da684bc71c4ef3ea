"""The plane of the first two coefficients of every group, with its phenotype."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ...questions import PhenotypeRow, phenotypes
from ...questions.internal import coefficient_plane
from ...scans import Scan, group_layers
from ._canvas import PAGE, Canvas, GivenCanvas, figure_on, grid, no_frame
from ._limits import few_enough
from ._names import shown_all

if TYPE_CHECKING:
    import matplotlib.axes

PLANE_BINS = 32
"""Of a picture along either side."""

_COLUMNS = 6
_INSIDE = 0.995  # share of all sampled kernels within a picture
_LONGEST = 22
_MAP = "magma_r"  # even to the eye, and pale where little is


def phenotype_planes(scan: Scan, figure: GivenCanvas = None, *, by: str = "model") -> Canvas:
    """Draw the sampled kernels of every group in the plane of their first two coefficients.

    Across the first, upward the second, one range for all; dark is full, each picture up to its own
    fullest spot. Below the name its phenotype: sun, spikes, symbols or point (docs/phenotypes.md).

    Raises ValueError for a scan without a sample, an axis that is not there, and more groups than fit a
    page.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    points, layer_of = coefficient_plane(scan)
    groups = group_layers(scan, by)
    few_enough(groups)
    words = {row.label: _word(row) for row in phenotypes(scan, by).groups}
    end = float(np.quantile(np.abs(points).max(axis=1), _INSIDE))
    names = shown_all([group.label for group in groups.groups], _LONGEST)
    rows, columns = grid(len(names), _COLUMNS)
    with figure_on(figure, PAGE * max(columns, 3) / _COLUMNS, 0.25 + 1.38 * rows) as canvas:
        pictures = np.atleast_1d(canvas.subplots(rows, columns)).ravel()
        for ax, group, name in zip(pictures, groups.groups, names, strict=False):
            _plane(ax, points[np.isin(layer_of, group.layers)], end)
            ax.set_title(f"{name}\n{words[group.label]}", fontsize="small")
        for unused in pictures[len(names) :]:
            unused.remove()
        canvas.supxlabel(f"first coefficient, from \N{MINUS SIGN}{end:.1f} to {end:.1f}")
        canvas.supylabel("second coefficient")
    return canvas


def _plane(ax: "matplotlib.axes.Axes", points: Float[np.ndarray, "n 2"], end: float) -> None:
    side = np.linspace(-end, end, PLANE_BINS + 1)
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=(side, side))
    # A histogram has its first axis down; a picture has the first coefficient across.
    ax.imshow(
        np.ma.masked_equal(counts.T, 0),
        origin="lower",
        extent=(-end, end, -end, end),
        cmap=_MAP,
        vmin=0,
        vmax=max(float(counts.max()), 1.0),
        interpolation="nearest",
    )
    no_frame(ax)


def _word(row: PhenotypeRow) -> str:
    return "too few kernels" if row.phenotype is None else row.phenotype.label
