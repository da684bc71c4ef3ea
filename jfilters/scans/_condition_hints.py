"""Corrections of conditions: operators of other languages, and labels that no layer has."""

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import did_you_mean


def respelled(text: str) -> str:
    """Return a condition with the operators of other languages as they are spelled here.

    Quoted texts stay as they are.
    """
    parts = re.split(r"""("[^"]*"|'[^']*')""", text)
    for place in range(0, len(parts), 2):
        for pattern, spelling in _SPELLINGS.items():
            parts[place] = re.sub(pattern, spelling, parts[place], flags=re.IGNORECASE)
    return "".join(parts).strip()


_SPELLINGS = {
    r"<>": "!=",
    r"=<": "<=",
    r"=>": ">=",
    r"===": "==",
    r"!==": "!=",
    r"(?<![=<>!])=(?!=)": "==",
    r"\s*&&?\s*": " and ",
    r"\s*\|\|?\s*": " or ",
    r"!(?!=)\s*": "not ",
    r"\b(and|or|not|in)\b": lambda match: match[0].lower(),
}
"""For patterns of operators as SQL, C and R spell them the spelling of a condition."""


def label_hint(text: str, column: Callable[[str], Sequence[Any]]) -> str:
    """Return a hint on the first text of a valid condition that is no label of its column.

    Args:
        text: the condition, which names columns alone.
        column: the values of a column.
    """
    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name | ast.Attribute):
            labels = {value for value in column(ast.unparse(node.left)) if isinstance(value, str)}
            for wrong in sorted(_texts(node) - labels):
                return did_you_mean(wrong, sorted(labels)) or _labels(
                    ast.unparse(node.left), labels
                )
    return ""


def _texts(node: ast.Compare) -> set[str]:
    constants = (x for part in node.comparators for x in ast.walk(part))
    return {x.value for x in constants if isinstance(x, ast.Constant) and isinstance(x.value, str)}


def _labels(name: str, labels: set[str]) -> str:
    shown = ", ".join(sorted(labels)[:MOST_LABELS])
    return (
        f"; {name} is {shown}{' and more' if len(labels) > MOST_LABELS else ''}" if labels else ""
    )


MOST_LABELS = 8
"""Labels that a hint names."""
