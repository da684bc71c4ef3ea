"""A layer of a deployed network beside the trained one: by how many steps of its type it is off.

The numbers of channels are taken off before, as a folded norm or an equalized range multiplies them. The
deployed layer is the one with the coarser type, whichever network it belongs to.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ..shift.internal import Grid, Steps, steps

Weight = Float[np.ndarray, "out in *spatial"]
Rows = Float[np.ndarray, "out m"]
Folded = Literal["output channel", "input channel", "output and input channel"]

MOST: dict[str, float] = {"float32": 16.0, "float16": 2.0, "bfloat16": 2.0}
"""Units in the last place of a float that a layer may be off: products are rounded, some of them twice."""

MOST_STEPS = 1.0
"""Steps of any other type that a layer may be off: rounding makes half of one, another mode one."""

FOLDED = 0.25
"""Share of the squared difference that may stay where a number a channel explains it."""

SEARCH = 25
"""Rounds of the search for the number of a channel, each to two thirds of the interval."""

ROUNDS = 8
"""Rounds of least squares for the numbers of both channels."""

_COARSE = ("int2", "int3", "int4", "int5", "int6", "int7", "int8")
_ORDER = (*_COARSE, "float8_e5m2", "float8_e4m3fn", "bfloat16", "float16", "int16", "float32")


class Deviation(NamedTuple):
    """What storage made of one layer, and by how much that explains too little.

    - `deployed`: the side with the coarser type: 0 the first, 1 the second, which it is for equal types too.
    - `folded`: for what there is a number each that the weights were multiplied with; None without any.
    - `storage`: the type of the values of the deployed layer, such as "int8" or "float16".
    - `steps`: the largest deviation in steps between values of that type; NaN where it has no step.
    - `relative`: the length of the deviation over that of the layer.
    - `values`: values that are zero in neither, less the numbers of channels.
    """

    deployed: Literal[0, 1]
    folded: Folded | None
    storage: str
    steps: float
    relative: float
    values: int

    @property
    def is_same(self) -> bool:
        """Return whether storage explains the deviation."""
        return self.steps <= MOST.get(self.storage, MOST_STEPS)

    @property
    def unit(self) -> str:
        """The words for the steps of the type."""
        return f"{'units in the last place' if self.storage in MOST else 'steps'} of {self.storage}"

    @property
    def coarseness(self) -> int:
        """The place of the type, from float32 to the coarsest."""
        return len(_ORDER) - (_ORDER.index(self.storage) if self.storage in _ORDER else 0)


def deviation(
    a: Weight, b: Weight, grids: tuple[Grid | None, Grid | None], *, is_rounded: bool = False
) -> Deviation:
    """Return how far two layers are apart, beyond numbers of channels, in steps of the coarser type.

    Args:
        a, b: the weights, the second as it was aligned with the first.
        grids: the grids that their values lie on.
        is_rounded: rounding alone explains the difference, so that no number is taken off.
    """
    if np.array_equal(a, b):
        return Deviation(1, None, "float32", 0.0, 0.0, int(np.count_nonzero(b)))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Deviation(1, None, "float32", math.nan, math.nan, 0)
    sides = [steps(weight, lattice) for weight, lattice in zip((a, b), grids, strict=True)]
    places = [_ORDER.index(x.storage) if x.storage in _ORDER else 0 for x in sides]
    deployed: Literal[0, 1] = 0 if places[0] < places[1] else 1
    if deployed == 0:
        a, b, sides = b, a, sides[::-1]
    wide, narrow = a.astype(np.float64), b.astype(np.float64)
    factors, folded = (np.ones((1,) * a.ndim), None) if is_rounded else _unfolded(wide, narrow)
    rows, target = (wide * factors).reshape(len(a), -1), narrow.reshape(len(b), -1)
    if folded in ("output channel", "output and input channel"):
        rows = _nearest(rows, target) if sides[1].storage.startswith("int") else rows
    widths = _widths(sides, np.broadcast_to(np.abs(factors), a.shape).reshape(len(a), -1))
    errors = np.abs(rows - target)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Zeros on both sides are no deviation, whatever the step.
        counts = np.where(errors == 0, 0.0, errors / widths)
    largest = math.nan if np.isnan(counts).any() else float(counts.max(initial=0.0))
    length = float(np.linalg.norm(target))
    relative = float(np.linalg.norm(errors)) / length if length > 0 else math.nan
    values = int(np.count_nonzero(target)) - (max(a.shape[:2]) if folded else 0)
    return Deviation(deployed, folded, sides[1].storage, largest, relative, values)


def _widths(sides: list[Steps], factors: Rows) -> Rows:
    """Return the step of every value: that of the deployed layer, or of the trained one if that is wider."""
    source, target = sides
    if source.storage == "float32":
        return target.values
    return np.fmax(target.values, source.values * factors)


def _unfolded(a: Weight, b: Weight) -> tuple[Float[np.ndarray, "..."], Folded | None]:
    """Return the numbers of channels by which `a` comes to `b`, and for what there is one each, if any."""
    best: tuple[Float[np.ndarray, "..."], Folded | None] = np.ones((1,) * a.ndim), None
    # Channels of zeros are explained by the number zero: pruning makes them, so that they say nothing.
    others = tuple(range(2, a.ndim))
    a = a * (b.any((1, *others), keepdims=True) & b.any((0, *others), keepdims=True))
    least = FOLDED * float(np.square(a - b).sum())
    outer, inner = _factors(a, b, 0), _factors(a, b, 1)
    candidates: list[tuple[Folded, Float[np.ndarray, "..."]]] = [
        ("output channel", outer),
        ("input channel", inner),
    ]
    for scope, factors in candidates:
        remainder = float(np.square(a * factors - b).sum())
        if remainder < least:
            best, least = (factors, scope), remainder
    if min(a.shape[:2]) < 2:
        return best
    both = _both(a, b, outer)
    most = FOLDED * least if best[1] else least
    is_better = float(np.square(a * both - b).sum()) < most
    return (both, "output and input channel") if is_better else best


def _both(a: Weight, b: Weight, outer: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the products of numbers of output and of input channels, by alternating least squares."""
    inner = np.ones_like(outer)
    for _ in range(ROUNDS):
        inner = _factors(a * outer, b, 1)
        outer = _factors(a * inner, b, 0)
    return outer * inner


def _factors(a: Weight, b: Weight, axis: int) -> Float[np.ndarray, "..."]:
    """Return the numbers, one for each channel of an axis, by which `a` comes nearest to `b`."""
    others = tuple(i for i in range(a.ndim) if i != axis)
    squares = np.square(a).sum(others, keepdims=True)
    products = (a * b).sum(others, keepdims=True)
    return np.divide(products, squares, out=np.ones_like(squares), where=squares > 0)


def _nearest(rows: Rows, target: Rows) -> Rows:
    """Return rows times the numbers that keep the largest deviation of each least.

    Least squares are pulled by rounding where a channel has a few steps. The largest deviation is convex in
    the number, so that thirds of its interval are dropped.
    """
    largest = np.abs(rows).max(axis=1, keepdims=True)
    error = np.abs(rows - target).max(axis=1, keepdims=True)
    radius = np.divide(2 * error, largest, out=np.zeros_like(error), where=largest > 0)
    low, high = 1 - radius, 1 + radius
    for _ in range(SEARCH):
        thirds = low + (high - low) / 3, high - (high - low) / 3
        errors = [np.abs(x * rows - target).max(axis=1, keepdims=True) for x in thirds]
        is_lower = errors[0] < errors[1]
        low, high = np.where(is_lower, low, thirds[0]), np.where(is_lower, thirds[1], high)
    return (low + high) / 2 * rows
