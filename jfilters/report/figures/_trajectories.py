"""Trajectories of training: drift and quality over the steps of every run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...questions import Trajectory
from ...questions import trajectories as analyze
from ...scans import Scan
from ._canvas import FAINT, PAGE, Canvas, GivenCanvas, colors_of, figure_on
from ._names import name_legend

if TYPE_CHECKING:
    import matplotlib.axes

MOST_COLORS = 8
"""Runs with a color and a name; of more each is one gray line."""

_PANELS = {
    "first": "D from the first step (nats)",
    "last": "D to the last step (nats)",
    "variance_entropy_ratio": "variance entropy H/T",
    "sparsity": "sparsity S",
}
_BELOW = {"loc": "outside lower center", "ncols": 4}
_SPAN = 50  # of the last step over the first after 0, from which steps are on a logarithmic scale


def trajectories(scan: Scan, figure: GivenCanvas = None) -> Canvas:
    """Draw drift from the first and to the last step in nats, and two measures of quality, over steps.

    A ring marks the step from which a run is settled; dotted is the 95 % quantile of the null of sampling.

    Raises ValueError for a scan without the steps of a run.
    """
    runs = analyze(scan)
    is_crowded = len(runs) > MOST_COLORS
    colors: Sequence = [FAINT] * len(runs) if is_crowded else colors_of(len(runs))
    measures = [name for name in _PANELS if _is_known(runs, name)]
    with figure_on(figure, PAGE, 2.0 + 0.12 * (len(runs) > 1)) as canvas:
        panels = canvas.subplots(1, len(measures), squeeze=False)[0]
        lines = []
        for ax, name in zip(panels, measures, strict=True):
            lines = [_line(ax, run, name, color) for run, color in zip(runs, colors, strict=True)]
            ax.set(xlabel="step", title=_PANELS[name])
            _scale(ax, runs)
        names = [f"each of {len(runs)} runs"] if is_crowded else [run.run for run in runs]
        legend = canvas.legend(lines[: len(names)], ["-"] * len(names), **_BELOW)
        name_legend(legend, names)
    return canvas


def _is_known(runs: Sequence[Trajectory], name: str) -> bool:
    return any(getattr(point, name) is not None for run in runs for point in run.points)


def _line(ax: "matplotlib.axes.Axes", run: Trajectory, name: str, color):
    steps = [point.step for point in run.points]
    values = [getattr(point, name) for point in run.points]
    numbers = np.array([np.nan if value is None else value for value in values], float)
    (line,) = ax.plot(steps, numbers, ".-", color=color, markersize=2.5)
    if name == "last":
        ax.plot(steps, [point.null_95 for point in run.points], ":", color=color, linewidth=0.7)
    if name == "last" and run.settled is not None:
        at = steps.index(run.settled)
        style = {"markersize": 5, "fillstyle": "none", "markeredgewidth": 0.7}
        ax.plot([run.settled], [numbers[at]], "o", color=color, **style)
    return line


def _scale(ax: "matplotlib.axes.Axes", runs: Sequence[Trajectory]) -> None:
    steps = sorted({point.step for run in runs for point in run.points} - {0})
    if steps and steps[-1] / steps[0] >= _SPAN:
        # From 0 to the first step the scale is linear, so that the start is seen too.
        ax.set_xscale("symlog", linthresh=steps[0], linscale=0.5)
        ax.xaxis.set_major_formatter(lambda step, _: f"{step:g}")
