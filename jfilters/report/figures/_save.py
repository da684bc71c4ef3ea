"""All figures of a scan as files: the same scan gives the same bytes, whenever it is drawn."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..._files import Location, make_folder, place, written_whole
from ...errors import unknown_choice
from ...scans import Scan, group_layers
from ._axis_boxes import axis_boxes
from ._basis import basis
from ._canvas import style
from ._cumulative_variance import cumulative_variance
from ._depth_deciles import depth_deciles
from ._drift_map import drift_map
from ._lineage import lineage
from ._phenotype_planes import phenotype_planes
from ._quality_boxes import quality_boxes
from ._ridge import ridge
from ._trajectories import trajectories

if TYPE_CHECKING:
    import matplotlib.figure

FIGURES: dict[str, Callable[..., Any]] = {
    "ridge": ridge,
    "drift-map": drift_map,
    "cumulative-variance": cumulative_variance,
    "basis": basis,
    "axis-boxes": axis_boxes,
    "depth-deciles": depth_deciles,
    "quality-boxes": quality_boxes,
    "phenotype-planes": phenotype_planes,
    "trajectories": trajectories,
    "lineage": lineage,
}
"""Every figure by the name of its file."""

FORMATS = ("pdf", "svg", "png")

BY = ("ridge", "drift-map", "cumulative-variance", "quality-boxes", "phenotype-planes")
"""The figures that are drawn along an axis."""

DOTS = 300
"""An inch of a picture."""

# Text stays text: TrueType in PDF, characters in SVG, whose names of parts come from a fixed seed.
_WRITTEN = {
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "jfilters",
    "savefig.dpi": DOTS,
}
_NO_DATE = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}


def save_figures(
    scan: Scan,
    folder: Location | str,
    *,
    by: str | None = None,
    only: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
    tell: Callable[[str], object] = lambda _: None,
) -> tuple[Location, ...]:
    """Write the figures of a scan into a folder, and return the paths of the files.

    **Arguments:**

    - `by`: the axis of the figures that have one, whose name is then in that of the file; their own
      default if not given.
    - `only`: names of `FIGURES`; all of them if not given.
    - `axes`: the axes of axis-boxes; all that do not divide models if not given.
    - `formats`: of "pdf", "svg" and "png", which has 300 dots an inch.
    - `tell`: is given one line for every figure that this scan cannot make, with the reason.

    Raises ValueError for a name, a format or an axis that is not there, and if no figure could be made;
    MissingExtraError without matplotlib.
    """
    names = _checked(tuple(FIGURES) if only is None else only, FIGURES, "figure")
    _checked(formats, FORMATS, "format")
    folder, paths, reasons = place(folder), [], []
    if by is not None:
        group_layers(scan, by)
    for name in names:
        try:
            figure = _laid_out(_figure(scan, name, by, axes))
        except ValueError as error:
            reasons.append(f"{name}: {error}")
            tell(reasons[-1])
            continue
        paths += [_saved(figure, folder / f"{stem(name, by)}.{kind}", kind) for kind in formats]
    if not paths:
        raise ValueError(
            f"expected a figure that this scan can make, found none: {'; '.join(reasons)}"
        )
    return tuple(paths)


def stem(name: str, by: str | None) -> str:
    """The name of a figure's files without the suffix."""
    axis = "" if by is None or name not in BY else "-" + re.sub(r"[^\w.-]", "_", by)
    return name + axis


def _figure(
    scan: Scan, name: str, by: str | None, axes: Sequence[str] | None
) -> "matplotlib.figure.Figure":
    """The figure, whether its function draws on axes or on a figure."""
    options = {} if by is None or name not in BY else {"by": by}
    canvas = FIGURES[name](scan, **options, **({"axes": axes} if name == "axis-boxes" else {}))
    return canvas if hasattr(canvas, "savefig") else canvas.get_figure(root=True)


def _laid_out(figure: "matplotlib.figure.Figure") -> "matplotlib.figure.Figure":
    """The figure with everything in its place, the same in every format and every time."""
    with style(_WRITTEN):
        figure.set_dpi(DOTS)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    for ax in figure.axes:
        # The order in which places are solved for depends on addresses in memory: so does their last digit.
        x, y, width, height = ax.get_position(original=True).bounds
        ax.set_position((round(x, 6), round(y, 6), round(width, 6), round(height, 6)))
    return figure


def _saved(figure: "matplotlib.figure.Figure", path: Location, kind: str) -> Location:
    make_folder(path.parent)
    with style(_WRITTEN), written_whole(path) as partial:
        figure.savefig(partial, format=kind, metadata=_NO_DATE[kind])
    return path


def _checked(names: Sequence[str], choices: Iterable[str], noun: str) -> list[str]:
    for name in names:
        if name not in choices:
            raise ValueError(unknown_choice(f"a {noun}", name, choices))
    return list(dict.fromkeys(names))
