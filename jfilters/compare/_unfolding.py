"""Numbers of channels by which one weight comes nearest to another, as a folded norm multiplies them.

BatchNorm behind a convolution has one number for each output channel, before it one for each input channel.
Ranges that were equalized before quantization have both.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float

Weight = Float[np.ndarray, "out in *spatial"]
Numbers = Float[np.ndarray, "..."]
Folded = Literal["output channel", "input channel", "output and input channel"]

FOLDED = 0.25
"""Share of the squared difference that may stay where a number a channel explains it."""

SEARCH = 25
"""Rounds of the search for the number of a channel, each to two thirds of the interval."""

ROUNDS, CONVERGED = 30, 1e-9
"""Rounds of least squares for the numbers of both channels, and the change that ends them."""

AXES: dict[Folded, tuple[int, ...]] = {
    "output channel": (0,),
    "input channel": (1,),
    "output and input channel": (1, 0),
}


def unfolded(a: Weight, b: Weight, *, is_coarse: bool = False) -> tuple[Numbers, Folded | None]:
    """Return the numbers by which `a` comes to `b`, and for what there is one each; ones and None without.

    Args:
        a, b: weights of one shape, in units in which all their rounding errors are alike.
        is_coarse: keep the largest deviation least, instead of the squares. Least squares are pulled by
            rounding where a channel has a few steps.
    """
    # Channels of zeros are explained by the number zero: pruning makes them, so that they say nothing.
    spatial = tuple(range(2, a.ndim))
    is_live = b.any((1, *spatial), keepdims=True) & b.any((0, *spatial), keepdims=True)
    live = a if is_live.all() else a * is_live
    numbers, scope = np.ones((1,) * a.ndim), None
    least = FOLDED * _remainder(live, b, numbers)
    for name in AXES:
        if name == "output and input channel" and min(a.shape[:2]) < 2:
            continue
        candidate = _numbers(live, b, AXES[name])
        remainder = _remainder(live, b, candidate)
        # Two numbers explain a little more than one, whatever the difference is.
        is_enough = remainder < (FOLDED * least if scope and len(AXES[name]) > 1 else least)
        if is_enough:
            numbers, scope, least = candidate, name, remainder
    if scope and is_coarse:
        numbers = _refined(live, b, numbers, AXES[scope])
    return (numbers * is_live if scope else numbers), scope


def _numbers(a: Weight, b: Weight, axes: tuple[int, ...]) -> Numbers:
    """Return the numbers of least squares, alternating between axes where there are two."""
    first, last = axes[0], axes[-1]
    inner = _factors(a, b, first)
    if first == last:
        return inner
    outer = _factors(a * inner, b, last)
    for _ in range(ROUNDS):
        before, inner = inner, _factors(a * outer, b, first)
        outer = _factors(a * inner, b, last)
        if np.abs(inner - before).max() <= CONVERGED * np.abs(before).max():
            break
    return inner * outer


def _remainder(a: Weight, b: Weight, numbers: Numbers) -> float:
    """Return the squared difference that numbers leave; one array of the size of a weight is made."""
    difference = a * numbers
    difference -= b
    return float(np.vdot(difference, difference))


def _factors(a: Weight, b: Weight, axis: int) -> Numbers:
    """Return the numbers, one for each channel of an axis, by which `a` comes nearest to `b`."""
    u, v = (x.reshape(*x.shape[:2], -1) for x in (a, b))
    sums = "oid,oid->" + "oi"[axis]
    squares, products = np.einsum(sums, u, u), np.einsum(sums, u, v)
    numbers = np.divide(products, squares, out=np.ones_like(squares), where=squares > 0)
    shape = [1] * a.ndim
    shape[axis] = -1
    return numbers.reshape(shape)


def _refined(a: Weight, b: Weight, numbers: Numbers, axes: tuple[int, ...]) -> Numbers:
    """Return numbers that keep the largest deviation of each channel least, one axis after the other."""
    for axis in axes:
        others = tuple(i for i in range(a.ndim) if i != axis)
        numbers = numbers * _nearest(a * numbers, b, others)
    return numbers


def _nearest(a: Weight, b: Weight, others: tuple[int, ...]) -> Numbers:
    """Return the numbers near 1 that keep the largest deviation of each channel least.

    It is convex in the number, so that thirds of its interval are dropped.
    """

    def largest(numbers: Numbers) -> Numbers:
        return np.abs(numbers * a - b).max(others, keepdims=True)

    size = np.abs(a).max(others, keepdims=True)
    radius = np.divide(
        2 * largest(np.ones_like(size)), size, out=np.zeros_like(size), where=size > 0
    )
    low, high = 1 - radius, 1 + radius
    for _ in range(SEARCH):
        thirds = low + (high - low) / 3, high - (high - low) / 3
        is_lower = largest(thirds[0]) < largest(thirds[1])
        low, high = np.where(is_lower, low, thirds[0]), np.where(is_lower, thirds[1], high)
    return (low + high) / 2
