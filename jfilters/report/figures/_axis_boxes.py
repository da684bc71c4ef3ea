"""Drift between models of one kind beside drift between models of two kinds, for every axis."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...questions import ModelPairs, model_pairs
from ...scans import Scan, axes_of
from ...scans.internal import model_labels
from ...shift import METRICS
from ._boxes import FEW, boxes
from ._canvas import ACCENT, COLUMN, OTHER, GivenAxes, axes_on, plain_numbers
from ._names import name_ticks

if TYPE_CHECKING:
    import matplotlib.axes

_HEIGHT = 0.34
_LEAST = 1e-4  # nats; what is smaller, as between copies of one model, is drawn here


def axis_boxes(
    scan: Scan,
    ax: GivenAxes = None,
    *,
    axes: Sequence[str] | None = None,
    metric: str = "drift",
    clean: bool = False,
) -> "matplotlib.axes.Axes":
    """Draw two boxes an axis over the drift of all pairs of models, in nats on a logarithmic scale.

    Blue: pairs of models with the same label; red: with different labels; the numbers of pairs are on the
    right. Models of fewer than 100 kernels are left out. Without `axes` these are all that do not divide
    the layers of one model, those with the largest ratio of medians first.

    Raises ValueError for an axis that is not there or divides models, and if none has pairs of both
    kinds.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    comparisons = _comparisons(scan, axes, metric, clean)
    with axes_on(ax, COLUMN, 0.75 + 0.3 * len(comparisons)) as canvas:
        rows = np.arange(len(comparisons))
        for values, offset, color in (("within", -0.21, ACCENT), ("between", 0.21, OTHER)):
            samples = [np.maximum(getattr(pairs, values), _LEAST) for pairs in comparisons]
            boxes(canvas, samples, list(rows + offset), color, _HEIGHT)
        canvas.set_xscale("log")
        plain_numbers(canvas.xaxis, *canvas.get_xlim())
        unit = METRICS[metric].unit
        canvas.set_xlabel(f"{'D' if metric == 'drift' else metric} between two models ({unit})")
        canvas.set_ylim(len(comparisons) - 0.45, -0.55)
        name_ticks(canvas.yaxis, [pairs.by for pairs in comparisons])
        _counts(canvas, comparisons)
        _legend(canvas)
    return canvas


def _comparisons(
    scan: Scan, axes: Sequence[str] | None, metric: str, clean: bool
) -> list[ModelPairs]:
    names = [axis for axis in axes_of(scan) if _is_of_models(scan, axis)] if axes is None else axes
    comparisons = model_pairs(scan, names, metric=metric, clean=clean)
    both = [pairs for pairs in comparisons if len(pairs.within) and len(pairs.between)]
    if not both:
        raise ValueError(
            "expected an axis with pairs of models of one label and of two, found none among "
            f"{', '.join(names) or 'no axes'}; --meta tells more of the models"
        )
    return sorted(both, key=_contrast, reverse=True) if axes is None else both


def _is_of_models(scan: Scan, axis: str) -> bool:
    if axis == "model":
        return False
    try:
        model_labels(scan, axis)
    except ValueError:
        return False
    return True


def _contrast(pairs: ModelPairs) -> tuple[bool, float]:
    """Axes with a box on both sides first; then the ratio of medians."""
    within, between = (max(float(np.median(v)), _LEAST) for v in (pairs.within, pairs.between))
    return min(len(pairs.within), len(pairs.between)) >= FEW, between / within


def _counts(ax: "matplotlib.axes.Axes", comparisons: list[ModelPairs]) -> None:
    right = ax.get_yaxis_transform()
    ax.text(1.01, -0.6, "pairs", transform=right, ha="left", va="bottom", fontsize="x-small")
    for row, pairs in enumerate(comparisons):
        for count, offset, color in (
            (len(pairs.within), -0.21, ACCENT),
            (len(pairs.between), 0.21, OTHER),
        ):
            place = {"transform": right, "ha": "left", "va": "center", "fontsize": "x-small"}
            ax.text(1.01, row + offset, f"{count:,}", color=color, **place)


def _legend(ax: "matplotlib.axes.Axes") -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=color, alpha=0.5, label=label)
        for color, label in ((ACCENT, "same label"), (OTHER, "different labels"))
    ]
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderpad": 0, "frameon": False}
    ax.legend(handles=handles, ncols=2, **where)
