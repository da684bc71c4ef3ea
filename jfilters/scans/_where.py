"""Conditions on columns, such as "task == 'segmentation' and not depthwise", evaluated by hand.

Names, constants, comparisons, in, and, or, not and arithmetic; nothing is called and nothing looked up.
"""

import ast
import contextlib
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from ..errors import did_you_mean
from ._axes import all_axes, axis_values
from ._condition_hints import label_hint, respelled

if TYPE_CHECKING:
    from ._scan import Scan

MOST_CHARACTERS = 10_000
DEEPEST = 50
"""Levels of a condition; each costs the reader of it some frames of Python."""

LARGEST = (1 << 63) - 1
"""Of integers: Python would take longer ones, and refuses to print the longest."""

_SHOWN = 60

Row = Mapping[str, Any]


class Condition:
    """A condition on the columns of a table, for one row after the other.

    An unknown value (None) makes a comparison unknown, and so is what depends on it alone: `not` of
    unknown is unknown, `or` with something true is true. Division by zero is unknown too.

    Raises ValueError, with the position and the columns, for what is no such condition.
    """

    def __init__(self, expression: str, columns: Sequence[str]):
        self.text, self._columns = " ".join(expression.split("\n")).strip(), tuple(columns)
        self._root = self._parsed()
        self.names = tuple(dict.fromkeys(self._names(self._root)))

    def holds(self, row: Row) -> bool | None:
        """Return whether the condition holds for a row; None if that is unknown."""
        return self._truth(self._root, row)

    def _parsed(self) -> ast.expr:
        if not 0 < len(self.text) <= MOST_CHARACTERS:
            raise ValueError(
                f"expected a condition of 1 to {MOST_CHARACTERS} characters, got {len(self.text)}"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's opinions on style
                root = ast.parse(self.text, mode="eval").body
            if _depth(root) > DEEPEST:
                raise RecursionError
            self._check(root)
        except SyntaxError as error:
            position = error.offset or len(self.text)
            is_long = "integer string" in error.msg  # Python's hint is on its own settings
            reason = "an integer of at most 63 bits" if is_long else f"a condition: {error.msg}"
            raise self._wrong(f"expected {reason}{self._hint()}", position) from error
        except (ValueError, MemoryError, RecursionError) as error:
            if isinstance(error, ConditionError):
                raise
            reason = f"expected a condition of text, nested at most {DEEPEST} deep"
            raise self._wrong(reason, 1) from error
        return root

    def _check(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name | ast.Attribute):
            self._check_name(node)
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, str | int | float):
                raise self._at(node, f"expected a text or a number, got {ast.unparse(node)}")
            if isinstance(node.value, int) and node.value > LARGEST:
                raise self._at(node, "expected an integer of at most 63 bits")
        elif isinstance(node, ast.Compare):
            self._check_comparison(node)
        elif _kind(node) not in _KNOWN:
            raise self._at(node, f"expected columns, texts, numbers, {_SPELLED}{self._hint()}")
        if not isinstance(node, ast.Attribute):
            for part in ast.iter_child_nodes(node):
                if isinstance(part, ast.expr):
                    self._check(part)

    def _check_name(self, node: ast.Name | ast.Attribute) -> None:
        # A dot belongs to the name of a column, as in meta.format; nothing is looked up in a value.
        name = ast.unparse(node)
        if name not in self._columns:
            hint = did_you_mean(name, self._columns)
            columns = ", ".join(self._columns)
            raise self._at(
                node, f"expected a column, got {_cut(name)!r}{hint or '.'} There are {columns}"
            )

    def _check_comparison(self, node: ast.Compare) -> None:
        for operation, right in zip(node.ops, node.comparators, strict=True):
            if type(operation) not in _COMPARED:
                raise self._at(right, "expected ==, !=, <, <=, >, >=, in or not in before this")
            if isinstance(right, ast.Name) and right.id not in self._columns:
                hint = f"; did you mean the text '{right.id}', in quotes?"
                raise self._at(right, f"expected a column or a text, got {right.id}{hint}")
            is_list = isinstance(right, ast.List | ast.Tuple)
            if isinstance(operation, ast.In | ast.NotIn) != is_list:
                raise self._at(
                    right, "expected `in` before a list such as ['a', 'b'], and only there"
                )

    def _hint(self) -> str:
        """Return the condition in the spelling that is read; empty if that is none either."""
        text = respelled(self.text)
        with contextlib.suppress(ValueError):
            if text != self.text:
                return f"; did you mean {Condition(text, self._columns).text}?"
        return ""

    def _names(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Name | ast.Attribute):
            return [ast.unparse(node)]
        return [name for part in ast.iter_child_nodes(node) for name in self._names(part)]

    def _truth(self, node: ast.expr, row: Row) -> bool | None:
        if isinstance(node, ast.BoolOp):
            return self._junction(node, row)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            truth = self._truth(node.operand, row)
            return None if truth is None else not truth
        if isinstance(node, ast.Compare):
            return self._comparison(node, row)
        value = self._value(node, row)
        if value is None or isinstance(value, bool):
            return value
        raise self._at(node, f"expected true or false, got {value!r}; compare it with something")

    def _junction(self, node: ast.BoolOp, row: Row) -> bool | None:
        decisive = isinstance(node.op, ast.Or)
        truths = [self._truth(part, row) for part in node.values]
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive

    def _comparison(self, node: ast.Compare, row: Row) -> bool | None:
        terms = [node.left, *node.comparators]
        truths = [
            self._compared(terms[i], operation, terms[i + 1], row)
            for i, operation in enumerate(node.ops)
        ]
        if False in truths:
            return False
        return None if None in truths else True

    def _compared(
        self, first: ast.expr, operation: ast.cmpop, second: ast.expr, row: Row
    ) -> bool | None:
        a = self._value(first, row)
        if isinstance(second, ast.List | ast.Tuple):
            b: Any = [self._value(item, row) for item in second.elts]
        else:
            b = self._value(second, row)
        if a is None or b is None:
            return None
        try:
            return bool(_COMPARED[type(operation)](a, b))
        except TypeError as error:
            raise self._at(second, f"cannot compare {a!r} with {b!r}") from error

    def _value(self, node: ast.expr, row: Row) -> Any:
        if isinstance(node, ast.Name | ast.Attribute):
            return row[ast.unparse(node)]
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node, [node.left, node.right], row)
        if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            return self._arithmetic(node, [node.operand], row)
        if isinstance(node, ast.BoolOp | ast.Compare | ast.UnaryOp):
            return self._truth(node, row)
        raise self._at(node, "expected a value, got a list: it goes after `in`")

    def _arithmetic(self, node: ast.BinOp | ast.UnaryOp, parts: list[ast.expr], row: Row) -> Any:
        values = [self._value(part, row) for part in parts]
        for part, value in zip(parts, values, strict=True):
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise self._at(part, f"expected a number, got {value!r}")
        if None in values:
            return None
        try:
            result = _COMPUTED[type(node.op)](*values)
            return result if abs(result) <= LARGEST else float(result)
        except (ZeroDivisionError, OverflowError):
            return None

    def _at(self, node: ast.expr, reason: str) -> "ConditionError":
        # ast counts bytes.
        return self._wrong(reason, len(self.text.encode()[: node.col_offset].decode()) + 1)

    def _wrong(self, reason: str, position: int) -> "ConditionError":
        first = max(0, position - _SHOWN)
        text = self.text[first : position + _SHOWN]
        before, behind = "..." * (first > 0), "..." * (position + _SHOWN < len(self.text))
        return ConditionError(f"in {before + text + behind!r}, at character {position}: {reason}")


class ConditionError(ValueError):
    """Error of a text that is no condition, or none on these columns."""


def where(scan: "Scan", expression: str) -> Bool[np.ndarray, " layers"]:
    """Return a mask of the layers for which a condition on columns and axes holds.

    Where the condition is unknown it does not hold. Runs on the host and needs no JAX.

    Args:
        scan: in memory or opened.
        expression: a condition such as "task == 'segmentation' and not depthwise"; see `Condition`.

    Raises:
        ValueError: with the position, for a text that is no condition on its columns and axes.
    """
    condition = Condition(expression, all_axes(scan))
    columns = {name: column(scan, name) for name in condition.names}
    return np.array(
        [
            condition.holds({name: columns[name][i] for name in columns}) is True
            for i in range(scan.layer_table.num_rows)
        ],
        bool,
    )


def nothing_left(scan: "Scan", expression: str) -> str:
    """Return the sentence for a condition that holds for no layer, with the label that was meant."""
    condition = Condition(expression, all_axes(scan))
    hint = label_hint(condition.text, lambda name: column(scan, name))
    count = scan.layer_table.num_rows
    return f"none of {count} layers is left where {expression}{hint or '; loosen the condition'}"


def column(scan: "Scan", name: str) -> Sequence[Any]:
    """The values of a column of the layers as they are stored, or of a derived axis."""
    if name in scan.layer_table.column_names:
        return scan.layer_table[name].to_pylist()
    return axis_values(scan, name).tolist()


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _depth(root: ast.AST) -> int:
    """The levels of a syntax tree, counted without recursion."""
    level, depth = [root], 0
    while level and depth <= DEEPEST:
        level = [part for node in level for part in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _kind(node: ast.expr) -> type:
    return type(node.op) if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp) else type(node)


_SPELLED = "comparisons, in, and, or, not, + - * /"
_COMPARED: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_COMPUTED: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_KNOWN = {*_COMPUTED, ast.And, ast.Or, ast.Not, ast.List, ast.Tuple}
