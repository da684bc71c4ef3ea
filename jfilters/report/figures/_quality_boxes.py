"""The quality of layers by group: sparsity, variance entropy over its threshold, and orthogonality."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ...scans import Scan, group_layers
from ...statistics.internal import HIGH_SPARSITY
from ._boxes import boxes
from ._canvas import ACCENT, OTHER, PAGE, Canvas, GivenCanvas, figure_on
from ._limits import few_enough
from ._names import name_ticks

if TYPE_CHECKING:
    import matplotlib.axes

QUALITY = {
    "sparsity": ("sparsity S", HIGH_SPARSITY, "sparse"),
    "variance_entropy_ratio": ("variance entropy H/T", 1.0, "random"),
    "orthogonality": ("orthogonality O", None, ""),
}
"""Columns of the layers: their titles, and the limit above which a layer gets a verdict."""


def quality_boxes(scan: Scan, figure: GivenCanvas = None, *, by: str = "depth_decile") -> Canvas:
    """Draw a box a group over the layers' share of sparse kernels S, their H/T, and their orthogonality O.

    Dashed are the share from which a layer is called sparse, and the H/T of random kernels. Fewer than
    five layers are drawn one by one. All three are ratios without a unit.

    Raises ValueError for an axis that is not there, more groups than fit a page, and a scan without
    quality.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    groups = group_layers(scan, by)
    few_enough(groups)
    columns = {name: _numbers(scan, name) for name in QUALITY}
    measures = [name for name, values in columns.items() if not np.isnan(values).all()]
    if not measures:
        raise ValueError(
            f"{scan.folder}: expected the quality of layers, found none; scan again with the quality on"
        )
    rows = len(groups.groups)
    with figure_on(figure, PAGE, 0.6 + 0.17 * rows) as canvas:
        panels = canvas.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for ax, name in zip(panels, measures, strict=True):
            label, limit, verdict = QUALITY[name]
            samples = [columns[name][group.layers] for group in groups.groups]
            boxes(ax, [values[~np.isnan(values)] for values in samples], range(rows), ACCENT, 0.6)
            ax.set_xlabel(label)
            ax.tick_params(axis="y", length=0)
            if limit is not None:
                _limit(ax, limit, verdict)
        panels[0].set_ylim(rows - 0.4, -0.6)
        name_ticks(panels[0].yaxis, [group.label for group in groups.groups])
        panels[0].set_ylabel(by if by != "depth_decile" else "decile of relative depth")
    return canvas


def _numbers(scan: Scan, name: str) -> Float[np.ndarray, " layers"]:
    return np.array([np.nan if x is None else x for x in scan.layer_table[name].to_pylist()], float)


def _limit(ax: "matplotlib.axes.Axes", at: float, verdict: str) -> None:
    line = ax.axvline(at, linestyle="--", color=OTHER, linewidth=0.7, zorder=0)
    where = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderpad": 0, "frameon": False}
    ax.legend([line], [verdict], **where)
