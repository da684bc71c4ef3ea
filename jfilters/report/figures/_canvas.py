"""The axes that a figure is drawn on: those of the caller, or new ones at the sizes of a two-column paper.

Figures are made without pyplot, so that none is kept and threads do not share any.
"""

import contextlib
import math
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union

from ...errors import MissingExtraError
from .._palette import BLUE, RED, SEQUENTIAL
from .._palette import DIVERGING as DIVERGING
from .._palette import FAINT as FAINT

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.axis
    import matplotlib.figure

# By name, so that nothing optional is imported.
GivenAxes = Union["matplotlib.axes.Axes", None]
Canvas = Union["matplotlib.figure.Figure", "matplotlib.figure.SubFigure"]
GivenCanvas = Union["matplotlib.figure.Figure", "matplotlib.figure.SubFigure", None]

COLUMN = 3.25
"""Inches: the width of one column of a two-column paper."""

PAGE = 6.875
"""Inches: the width of both columns and the gap."""

TALLEST = 8.75
"""Inches: the height of a page's text."""

ACCENT, OTHER = BLUE, RED
"""Of what a figure is about, and of what it is compared with."""

STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "figure.labelsize": 7,
    "figure.titlesize": 7,
    "axes.linewidth": 0.5,
    "lines.linewidth": 0.9,
    "patch.linewidth": 0.5,
    **{f"{axis}tick.{which}.width": 0.5 for axis in "xy" for which in ("major", "minor")},
    **{f"{axis}tick.major.size": 2 for axis in "xy"},
    **{f"{axis}tick.minor.size": 1.2 for axis in "xy"},
    **{f"{axis}tick.major.pad": 2 for axis in "xy"},
    "axes.labelpad": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
}
"""Parameters of matplotlib under which new figures are drawn: small text, thin lines."""

_LABELS = 3  # of a logarithmic axis, at least

_LOCK = threading.RLock()  # matplotlib's parameters are those of the process


@contextlib.contextmanager
def axes_on(ax: GivenAxes, width: float, height: float) -> Iterator["matplotlib.axes.Axes"]:
    """The caller's axes as they are, or new ones of so many inches in the style of a paper."""
    if ax is not None:
        yield ax
        return
    with figure_on(None, width, height) as figure:
        yield figure.add_subplot()


@contextlib.contextmanager
def figure_on(figure: GivenCanvas, width: float, height: float) -> Iterator[Canvas]:
    """The caller's figure or part of one, or a new one of so many inches in the style of a paper.

    Raises MissingExtraError without matplotlib.
    """
    if figure is not None:
        yield figure
        return
    with style(STYLE):
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        # Text is a little wider in some formats than where it was measured.
        layout = ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 0.98))
        yield Figure(figsize=(width, min(height, TALLEST)), layout=layout)


@contextlib.contextmanager
def style(parameters: Mapping[Any, Any]) -> Iterator[None]:
    """Draw under some of matplotlib's parameters, one figure at a time.

    Raises MissingExtraError without matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot") from error
    with _LOCK, matplotlib.rc_context(dict(parameters)):
        yield


def grid(count: int, columns: int) -> tuple[int, int]:
    """Rows and columns for so many pictures."""
    columns = min(count, columns)
    return math.ceil(count / columns), columns


def colors_of(count: int) -> list[tuple[float, ...]]:
    """So many colors along the map, dark to bright, without its palest end."""
    from matplotlib import colormaps

    return [tuple(colormaps[SEQUENTIAL](0.9 * i / max(count - 1, 1))) for i in range(count)]


def plain_numbers(axis: "matplotlib.axis.Axis", least: float, most: float) -> None:
    """Label a logarithmic axis with plain numbers, three or more where its range holds them."""
    from matplotlib.ticker import NullFormatter

    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    at: list[float] = []
    for digits in ((1,), (1, 2, 5), range(1, 10)):
        if len(at) < _LABELS:
            every = (digit * 10.0**power for power in powers for digit in digits)
            at = [value for value in every if least <= value <= most]
    axis.set_ticks(at, labels=[f"{value:g}" for value in at])
    axis.set_minor_formatter(NullFormatter())


def no_frame(ax: "matplotlib.axes.Axes") -> None:
    """Axes without ticks, for a picture with a thin frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color=FAINT)
