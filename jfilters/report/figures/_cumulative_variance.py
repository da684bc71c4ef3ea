"""The cumulative share of variance of the components: the number of directions that kernels use."""

from typing import TYPE_CHECKING

import numpy as np

from ...questions.internal import variance_ratios
from ...scans import Scan, group_layers
from ._canvas import ACCENT, COLUMN, FAINT, GivenAxes, axes_on, colors_of
from ._names import name_legend

if TYPE_CHECKING:
    import matplotlib.axes

MOST_COLORS = 8
"""Groups with a color of their own; of more each is one gray line."""


def cumulative_variance(
    scan: Scan, ax: GivenAxes = None, *, by: str | None = None
) -> "matplotlib.axes.Axes":
    """Draw the share of variance in the first components, of all kernels and of each group in its own.

    The higher a line lies, the fewer directions its kernels use; the dashed line is that of kernels which
    use all alike. Groups of fewer than two kernels, or of equal ones, have none.

    Raises ValueError for an axis that is not there, and, with `by`, for a scan that kept no moments.

    Source: Gavrikov & Keuper, CVPRW 2022, arXiv:2204.02481.
    """
    with axes_on(ax, COLUMN, 2.2) as axes:
        components = np.arange(1, scan.d + 1)
        entries = {
            "all directions alike": axes.plot(components, components / scan.d, "--", color=FAINT)
        }
        if by is not None:
            entries |= _groups(axes, scan, by)
        shares = np.cumsum(np.asarray(scan.basis.variance_ratio, np.float64))
        style = {"color": "black", "marker": "o", "markersize": 2.5, "zorder": 9}
        entries["the basis of the scan"] = axes.plot(components, shares, **style)
        axes.set(xlabel="components", ylabel="cumulative share of variance", ylim=(0, 1.02))
        axes.set_xticks(components if scan.d <= 9 else components[:: scan.d // 5])
        handles = [lines[0] for lines in entries.values()]
        legend = axes.legend(handles, ["-"] * len(handles), loc="lower right")
        name_legend(legend, list(entries))
    return axes


def _groups(ax: "matplotlib.axes.Axes", scan: Scan, by: str) -> dict[str, list]:
    """Draw a line a group; the lines by their name in the legend."""
    if "normalized" not in scan.moments:
        raise ValueError(f"{scan.folder}: expected the moments of kernels, found none; scan again")
    groups = group_layers(scan, by)
    sums = np.cumsum(variance_ratios(scan, groups), axis=1)
    places = [i for i in range(len(sums)) if not np.isnan(sums[i, 0])]
    components = np.arange(1, scan.d + 1)
    if len(places) > MOST_COLORS:
        lines = [
            ax.plot(components, sums[i], color=ACCENT, alpha=0.35, linewidth=0.6)[0] for i in places
        ]
        return {f"each of {len(places)} groups of {by}": lines}
    colors = colors_of(len(places))
    return {
        groups.groups[i].label: ax.plot(components, sums[i], color=color)
        for i, color in zip(places, colors, strict=True)
    }
