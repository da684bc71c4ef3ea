"""Arrays whose shape and dtype are known and whose numbers are computed on demand.

A value is a leaf, whose numbers are stored, or an operator on other values. It is read without
recursion, every part of it once, and no part is held longer than it is needed.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

LEAST_COST = 64
"""The least cost of an operator, in elements: its overhead."""

MAX_PARTS = 1 << 10
"""Tensors and operators that one value may be computed from."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """One array. Two values are equal only if they are the same object.

    `compute` gives the numbers, for an operator from those of its `inputs`; an input left out is None.
    `cost` is in elements that are written. `parts` are the members where it is a sequence of tensors.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    compute: Callable[..., np.ndarray]
    inputs: tuple["Value | None", ...] = ()
    op: str = ""
    cost: int = 0
    parts: tuple["Value", ...] = ()

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def read(self) -> np.ndarray:
        """The numbers; what overflows or is no number is counted downstream."""
        arrays: dict[Value, np.ndarray] = {}
        with np.errstate(all="ignore"):
            for value, spent in _schedule(self):
                inputs = [None if x is None else arrays[x] for x in value.inputs]
                arrays[value] = value.checked(np.asarray(value.compute(*inputs)))
                for x in spent:
                    del arrays[x]
        return arrays[self]

    def checked(self, array: np.ndarray) -> np.ndarray:
        """The numbers in the dtype of the value. Raises ValueError if they are of another shape."""
        if array.shape != self.shape:
            raise ValueError(f"expected {self.op} to give {self.shape}, got {array.shape}")
        return array.astype(self.dtype, copy=False)


@dataclasses.dataclass(frozen=True)
class Workload:
    """The work that reading a value takes: operators, elements written, most elements at a time.

    `stored` counts the elements of its leaves, `operators` holds the operators by name.
    """

    cost: int
    peak: int
    stored: int
    operators: frozenset[str]


def workload(value: Value) -> Workload:
    """The work that reading `value` takes, from shapes alone. Raises ValueError beyond `MAX_PARTS`."""
    schedule = _schedule(value)
    live = peak = 0
    for part, spent in schedule:
        live += part.size
        peak = max(peak, live)
        live -= sum(x.size for x in spent)
    return Workload(
        cost=sum(max(part.cost, part.size, LEAST_COST) for part, _ in schedule),
        peak=peak,
        stored=sum(part.size for part, _ in schedule if not part.op),
        operators=frozenset(part.op for part, _ in schedule if part.op),
    )


def _schedule(value: Value) -> list[tuple[Value, list[Value]]]:
    """The parts of a value in the order of their computation, and those that are spent after each."""
    order, needed = _ordered(value), {value}
    schedule = []
    for part in reversed(order):
        spent = [x for x in dict.fromkeys(part.inputs) if x is not None and x not in needed]
        needed.update(spent)
        schedule.append((part, spent))
    return schedule[::-1]


def _ordered(value: Value) -> list[Value]:
    """All that a value is computed from, each part behind its inputs, the value itself last."""
    order: dict[Value, None] = {}
    stack = [value]
    while stack:
        waiting = [x for x in stack[-1].inputs if x is not None and x not in order]
        if waiting:
            stack.extend(waiting)
        else:
            order[stack.pop()] = None
        if len(order) + len(stack) > MAX_PARTS:
            raise ValueError(f"expected at most {MAX_PARTS} operators in front of a weight")
    return list(order)
