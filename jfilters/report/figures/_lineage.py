"""The forest of a scan: families as trees from left to right, with arrows where directions are known."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ...questions import Forest, LineageEdge
from ...scans import Scan
from .._cells import count, quantity
from .._lineage import family_words
from .._shown_forest import shown_forest
from .._trees import SOUP, Branch, branches
from ._canvas import PAGE, TALLEST, GivenAxes, axes_on
from ._names import shown_all

if TYPE_CHECKING:
    import matplotlib.axes

DEEPEST = 4
"""Steps below a root: five names fit side by side; deeper models are drawn in a tree of their own."""

MOST_ROWS = 50
"""Rows of names and titles on a page."""

COLORS = {
    "fine-tuned": "#0072b2",
    SOUP: "#cc79a7",
    "pruned": "#d55e00",
    "quantized": "#e69f00",
    "re-saved": "#009e73",
    "rescaled": "#56b4e9",
    "sub-network": "#8a6d00",
    "identical": "#000000",
    "common ancestor": "#7f7f7f",
    "unknown": "#b0b0b0",
}
"""Colors of relations: those of Okabe and Ito, distinct for every kind of color vision."""

LEGEND = {SOUP: "averaged", "unknown": "relation unknown"}
"""Relations that the legend has in other words."""

_ROW = 0.155  # inches
_SPACE = 0.45  # inches between two names
_ARROW = 0.28  # inches of its end that have the color of the relation
_POINTS = 6  # of names
_CONTINUED = " (continued)"
_SHORTEST, _LONGEST = 6, 40  # characters of a name
_SMALL = 5.5  # points of titles and notes
_QUIET = "0.4"


@dataclasses.dataclass(frozen=True)
class Place:
    """A model on the page, the place of the one that it came from, and its row from the top."""

    branch: Branch
    row: int
    above: "Place | None"


@dataclasses.dataclass(frozen=True)
class Part:
    """A family on the page: its title in row `top`, and the places of its models."""

    title: str
    top: int
    places: tuple[Place, ...]


def lineage(scan: Scan | Forest, ax: GivenAxes = None) -> "matplotlib.axes.Axes":
    """Draw the families of a scan as trees from left to right, the largest families first.

    An arrow leads from parent to child; a dashed line has no direction. Colors are relations. Families that
    the page has no room for are counted. Instead of a scan a `Forest` may be given.

    Raises ValueError for a scan without kin, or without sketches.
    """
    forest = scan if isinstance(scan, Forest) else shown_forest(scan)[0]
    if not forest.families:
        models = quantity(len(forest.strangers), "model")
        raise ValueError(f"expected models that are kin, found none among {models}")
    parts, rows = _parts(forest)
    with axes_on(ax, PAGE, min(0.45 + _ROW * (rows + 1), TALLEST)) as axes:
        step, names = _names(parts)
        note = "; ".join(filter(None, [_note(forest, parts), _note_of_names(names)]))
        for part in parts:
            axes.text(0, part.top, part.title, fontsize=_SMALL, color=_QUIET, va="center")
            _draw_edges(axes, part, step)
            _draw_names(axes, part, step, names)
        axes.text(0, rows + 0.3, note, fontsize=_SMALL, color=_QUIET, va="center")
        _legend(axes, [edge for part in parts for edge in _edges(part)])
        axes.set_axis_off()
        axes.set_xlim(0, PAGE)
        axes.set_ylim(rows + (0.8 if note else -0.2), -0.6)
    return axes


def _parts(forest: Forest) -> tuple[list[Part], int]:
    """Return the largest families that fit on a page, and their rows; if one alone does not, it is cut."""
    parts, top = [], 0
    for family in forest.families:
        places = _placed(branches(forest, family, deepest=DEEPEST), top + 1)
        if parts and _bottom(places) > MOST_ROWS:
            break
        fitting = tuple(place for place in places if place.row <= MOST_ROWS)
        parts.append(Part(family_words(family), top, fitting))
        top = _bottom(fitting) + 1
    return parts, top


def _bottom(places: Sequence[Place]) -> int:
    return max(place.row for place in places)


def _placed(trees: Sequence[Branch], row: int) -> list[Place]:
    """Return the places of models: the first child beside its parent, further ones below."""
    path: list[Place] = []
    places: list[Place] = []
    for branch in trees:
        is_first = bool(places) and branch.depth == places[-1].branch.depth + 1
        row += 1 if places and not is_first else 0
        path[branch.depth :] = [
            Place(branch, row, path[branch.depth - 1] if branch.depth else None)
        ]
        places.append(path[-1])
    return places


def _note(forest: Forest, parts: Sequence[Part]) -> str:
    """Return a line on the models that are not drawn."""
    drawn = {place.branch.model for part in parts for place in part.places}
    cut = sum(len(x.models) for x in forest.families[: len(parts)]) - len(drawn)
    smaller = forest.families[len(parts) :]
    phrases = []
    if cut:
        phrases.append(f"{count(cut)} more of this family")
    if smaller:
        models = sum(len(family.models) for family in smaller)
        noun = "family" if len(smaller) == 1 else "families"
        phrases.append(f"{count(len(smaller))} smaller {noun} with {quantity(models, 'model')}")
    if forest.strangers:
        phrases.append(f"{quantity(len(forest.strangers), 'model')} without kin")
    return f"not drawn: {', '.join(phrases)}" if phrases else ""


def _note_of_names(names: Mapping[str, str]) -> str:
    """Return a line with a whole name, if all are shown without what they have in common."""
    first = next(iter(names))
    if not all(name[:1] == "…" or name[-1:] == "…" for name in names.values()):
        return ""
    return f"…: the same in all names, the first of which is {shown_all([first], 100)[0]}"


def _names(parts: Sequence[Part]) -> tuple[float, dict[str, str]]:
    """Return the inches from one column to the next, and for every model its name as there is room for."""
    every = [place.branch for part in parts for place in part.places]
    room = PAGE / (1 + max(branch.depth for branch in every))
    models = list(dict.fromkeys(branch.model for branch in every))
    texts = _without_common_ends(models) if max(map(len, models)) > _LONGEST else models
    names: dict[str, str] = {}
    step = 0.0
    for longest in range(_LONGEST, _SHORTEST - 1, -1):
        names = dict(zip(models, shown_all(texts, longest), strict=True))
        step = _SPACE + max(_inches(_label(branch, names)) for branch in every)
        if step <= room:
            break
    return min(step, room), names


def _without_common_ends(names: Sequence[str]) -> list[str]:
    """Return names without the words that all begin and end with: cuts in the middle would leave those."""
    start, end = _common(names), _common([name[::-1] for name in names])
    middles = [name[start : len(name) - end] for name in names]
    if len(names) < 2 or not all(middles):
        return list(names)
    return [f"{'…' if start else ''}{x}{'…' if end else ''}" for x in middles]


def _common(names: Sequence[str]) -> int:
    """Return the characters of the whole words that all names begin with."""
    columns = zip(*names, strict=False)
    common = [x[0] for x in itertools.takewhile(lambda x: len(set(x)) == 1, columns)]
    return max((i + 1 for i, character in enumerate(common) if not character.isalnum()), default=0)


def _label(branch: Branch, names: Mapping[str, str]) -> str:
    return names[branch.model] + (_CONTINUED if branch.is_continued else "")


def _inches(label: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=_POINTS)
    return text_to_path.get_text_width_height_descent(label, font, ismath=False)[0] / 72


def _draw_names(
    ax: "matplotlib.axes.Axes", part: Part, step: float, names: Mapping[str, str]
) -> None:
    # The white box covers the line that leaves from the left end of the name.
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for place in part.places:
        x, name = place.branch.depth * step, _label(place.branch, names)
        ax.text(x, place.row, name, fontsize=_POINTS, va="center", bbox=box, zorder=3)


def _edges(part: Part) -> Iterator[LineageEdge]:
    return (place.branch.edge for place in part.places if place.branch.edge is not None)


def _draw_edges(ax: "matplotlib.axes.Axes", part: Part, step: float) -> None:
    by_model = {place.branch.model: place for place in reversed(part.places)}
    for place in part.places:
        if place.above is None or place.branch.edge is None:
            continue
        x, bend = place.branch.depth * step, place.branch.depth * step - _ARROW
        start = place.above.branch.depth * step
        rows = [place.above.row, place.above.row, place.row]
        ax.plot([start, bend, bend], rows, color="0.75", linewidth=0.7, zorder=1)
        _arrow(ax, (bend, place.row), (x, place.row), place.branch.edge)
        for name in place.branch.parts:
            other = by_model.get(name)
            if (
                other is not None
                and other is not place.above
                and place.branch.edge.relation == SOUP
            ):
                start = other.branch.depth * step + 0.05, other.row
                _arrow(ax, start, (x, place.row), place.branch.edge, width=0.5)


def _arrow(
    ax: "matplotlib.axes.Axes",
    start: tuple[float, int],
    end: tuple[float, int],
    edge: LineageEdge,
    *,
    width: float = 0.9,
) -> None:
    style = {
        "arrowstyle": "-|>,head_length=0.25,head_width=0.12" if edge.directed else "-",
        "linestyle": "-" if edge.directed else (0, (2.5, 1.5)),
        "color": COLORS.get(edge.relation, COLORS["unknown"]),
        "linewidth": width,
        "shrinkA": 0,
        "shrinkB": 2,
        "zorder": 2,
    }
    ax.annotate("", end, start, arrowprops=style)


def _legend(ax: "matplotlib.axes.Axes", edges: Sequence[LineageEdge]) -> None:
    from matplotlib.lines import Line2D

    relations = {edge.relation for edge in edges}
    handles = [
        Line2D([], [], color=color, label=LEGEND.get(relation, relation))
        for relation, color in COLORS.items()
        if relation in relations
    ]
    if not all(edge.directed for edge in edges):
        dashes = {"linestyle": (0, (2.5, 1.5)), "color": "0.3"}
        handles.append(Line2D([], [], label="dashed: direction not known", **dashes))
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderpad": 0, "frameon": False}
    ax.legend(handles=handles, ncols=6, handlelength=1.8, columnspacing=1.2, **where)
