"""The weights that exported programs compute, step by step and within bounds on work and memory.

Whatever needs an operator that is not in the table is not computed, and the operator is named.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import CheckpointError
from ._operators import OPERATORS
from ._program import Data, Leaf, Step, Term

MAX_STEPS = 400
"""Operations that one weight is computed by."""

MAX_DEPTH = 100
"""Operations that depend on each other in a row."""

ALLOWANCE = 1 << 22
"""Bytes of an intermediate array beyond eight times those that a weight is computed from."""


Reader = Callable[[Leaf], np.ndarray]


def obstacle(term: Term) -> str | None:
    """The operator that keeps a term from being computed, or why else it is not; None where it can be."""
    pending, depths, steps = [(term, 0)], {}, 0
    while pending:
        term, depth = pending.pop()
        if isinstance(term, Data):
            return "an input of the network"
        if not isinstance(term, Step) or depths.get(id(term), -1) >= depth:
            continue
        depths[id(term)], steps = depth, steps + 1
        if short(term.op) not in OPERATORS:
            return f"{term.op.removeprefix('torch.ops.')[:60]}, which is not computed here"
        if depth > MAX_DEPTH or steps > MAX_STEPS:
            return "more operations than a weight takes"
        parts = (part for arg in term.args.values() for part in _parts(arg))
        pending.extend((part, depth + 1) for part in parts)
    return None


def operators(term: Term) -> set[str]:
    """The names of all operators that a term is computed by."""
    pending, names, visited = [term], set(), set()
    while pending:
        term = pending.pop()
        if isinstance(term, Step) and id(term) not in visited:
            visited.add(id(term))
            names.add(short(term.op))
            pending.extend(part for arg in term.args.values() for part in _parts(arg))
    return names


def evaluate(term: Term, read: Reader, stored: int) -> np.ndarray:
    """The values of a term without an obstacle, which is computed from `stored` bytes.

    Raises CheckpointError where its arguments do not fit.
    """
    memo, most = _Memo(), 8 * stored + ALLOWANCE
    with np.errstate(all="ignore"):
        try:
            return _value(term, read, memo, most)
        except (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError) as error:
            reason = f"operands of the graph that do not fit ({str(error)[:100]})"
            raise CheckpointError(reason) from error


def short(op: str) -> str:
    """The name of an operator without its overload, such as "aten.mul"."""
    return ".".join(op.removeprefix("torch.ops.").split(".")[:2])


def _parts(arg: Any) -> list[Term]:
    values = arg if isinstance(arg, list) else [arg]
    return [value for value in values if isinstance(value, Data | Leaf | Step)]


_Memo = dict[int, Any]


def _value(term: Term, read: Reader, memo: _Memo, most: int) -> Any:
    if isinstance(term, Leaf):
        key = id(term)
        memo[key] = memo[key] if key in memo else read(term)
        return memo[key]
    if not isinstance(term, Step):
        raise CheckpointError("a weight that depends on an input of the network")
    # All results of one operation share its arguments.
    key = id(term.args)
    if key not in memo:
        args = {name: _argument(arg, read, memo, most) for name, arg in term.args.items()}
        memo[key] = OPERATORS[short(term.op)](**_renamed(args))
    value = memo[key]
    value = value[term.output] if isinstance(value, tuple) else value
    if value.nbytes > most:
        raise CheckpointError(f"an intermediate array of more than {most:,} bytes")
    return value


def _argument(arg: Any, read: Reader, memo: _Memo, most: int) -> Any:
    if isinstance(arg, Data | Leaf | Step):
        return _value(arg, read, memo, most)
    if isinstance(arg, list):
        return [_argument(part, read, memo, most) for part in arg]
    return arg


def _renamed(args: dict[str, Any]) -> dict[str, Any]:
    return {
        {"self": "x", "input": "x", "dim": "axis", "dims": "axis"}.get(n, n): a
        for n, a in args.items()
    }
