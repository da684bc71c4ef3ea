"""The forest of a scan: families as trees, the models without kin, and what was tested."""

import dataclasses
from typing import Any

from ...questions import Family, Forest, LineageEdge
from .._lineage import MARKS, family_words, headline, numbers, smallest_words
from .._shown_forest import shown_forest
from .._trees import Branch, branches, mark, phrase
from ._view import View

NAMED = 8
"""Models without kin that are named at once; further ones are behind a click."""

MOST_ROWS = 60
"""Models in families that are shown at once; further families, and larger ones, are behind a click."""


LONGEST = 32
"""Characters of a parent's name that is said again with its child."""


def lineage_section(view: View) -> dict[str, Any] | None:
    """Return the trees of the families as rows; a sentence if they are not known, None for one model."""
    if len(view.scan.model_names) < 2:
        return None
    try:
        forest, origin = shown_forest(view.scan)
    except ValueError as error:
        text = f"Not known: {error}."
        return {"text": text, "families": [], "strangers": None, "notes": [], "is_known": False}
    return {
        "text": " ".join([*headline(forest), *([origin] if forest.families else [])]),
        "families": _families(forest),
        "strangers": _strangers(forest),
        "notes": _notes(forest),
        "is_known": True,
    }


def _families(forest: Forest) -> list[dict[str, Any]]:
    """Return the families, the largest first; open are those that fit in `MOST_ROWS` together."""
    sections, total = [], 0
    for family in forest.families:
        rows = _rows(forest, family)
        is_open = total + len(rows) <= MOST_ROWS
        total += len(rows) if is_open else 0
        title = family_words(family).capitalize()
        sections.append({"title": title, "open": is_open, "rows": rows})
    return sections


def _rows(forest: Forest, family: Family) -> list[list[Any]]:
    """Return depth, name, sign, phrase and numbers of each model; lines on further edges at the end."""
    return [_row(branch) for branch in branches(forest, family)]


def _row(branch: Branch) -> list[Any]:
    edge = branch.edge
    words = "" if edge is None else _phrase(branch, edge)
    small = "" if edge is None else numbers(edge)
    if branch.is_continued:
        words = "continued"
    elif mark(edge) == "?":
        words += "; direction: cannot tell"
    further = [f"Also {phrase(branch, more)}: {numbers(more)}" for more in branch.further]
    return [branch.depth, branch.model, mark(edge), words, small, *further]


def _phrase(branch: Branch, edge: LineageEdge) -> str:
    is_long = len(edge.parent) > LONGEST and not branch.parts
    return phrase(branch, dataclasses.replace(edge, parent="the one above") if is_long else edge)


def _strangers(forest: Forest) -> dict[str, Any] | None:
    names = list(forest.strangers)
    if not names or not forest.families:
        return None
    more = [] if len(names) <= NAMED else names
    text = f"No kin found for {', '.join(names[:NAMED])}"
    return {"text": f"{text}{f' and {len(names) - NAMED:,} more' if more else ''}.", "names": more}


def _notes(forest: Forest) -> list[str]:
    """Return sentences on the limits of what was tested and read."""
    marks = {mark(edge) for edge in forest.edges}
    sentences = [f"{sign}: {words}" for sign, words in MARKS.items() if sign in marks]
    if forest.strangers and forest.smallest is not None:
        sentences.append(smallest_words(forest.smallest))
    if forest.incomparable:
        count = len(forest.incomparable)
        sentences.append(f"{count:,} without a layer of the same shape in any other model")
    unread = len(forest.unread)
    if 0 < unread < sum(len(family.models) for family in forest.families):
        sentences.append(f"the weights of {unread:,} models in families were not read")
    return [f"{text[:1].upper()}{text[1:]}." for text in (*sentences, *forest.notes)]
