"""Transformations of a whole weight that leave its values: mirrored, turned, exchanged axes, negated.

Frameworks, converters and augmentations make them. The cosine of two layers under each of them follows from
one product of their kernels, so that all are tried at the price of one.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from ..lineage.internal import SMALLEST_Z, centered_directions

Weight = Float[np.ndarray, "out in *spatial"]
Other = Float[np.ndarray, "out_2 in_2 *spatial_2"]

CLEAR = 0.3
"""Cosine of a layer under a transformation from which it counts: of strangers the best of 32 is less."""

MORE = 2.0
"""Multiple of the cosine without a transformation that the one with it exceeds, or ..."""

NEARER = 0.25
"""... the distance from 1 that it has, as a share of that without: smooth kernels look alike mirrored."""

MOST_AXES = 3
"""Spatial axes up to which transformations are looked for; three have 48, twice as many with channels."""

_TURNS: dict[tuple[tuple[int, ...], tuple[bool, ...]], str] = {
    ((0, 1), (True, True)): "turned by 180 degrees (rot180)",
    ((0, 1), (True, False)): "mirrored from top to bottom",
    ((0, 1), (False, True)): "mirrored from left to right",
    ((1, 0), (False, False)): "height and width exchanged",
    ((1, 0), (True, False)): "turned by 90 degrees",
    ((1, 0), (False, True)): "turned by 90 degrees",
    ((1, 0), (True, True)): "height and width exchanged, turned by 180 degrees (rot180)",
}


class Transform(NamedTuple):
    """A transformation of a weight: its axes in another order, some of them reversed, its sign changed.

    - `swaps`: output and input channels are exchanged.
    - `order`, `reverses`: the spatial axes in their new order, and which of these are reversed then.
    - `negates`: every value changes its sign.
    - `reverses_inputs`: the input channels are in reverse order, as in RGB and BGR.
    """

    swaps: bool
    order: tuple[int, ...]
    reverses: tuple[bool, ...]
    negates: bool = False
    reverses_inputs: bool = False

    @property
    def is_negation(self) -> bool:
        """Return whether every value changes its sign, and nothing else happens."""
        return self == negation(len(self.order))

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape that a weight of this shape gets."""
        out, inner, *spatial = shape
        channels = (inner, out) if self.swaps else (out, inner)
        return (*channels, *(spatial[axis] for axis in self.order))

    def __call__(
        self, weight: Num[np.ndarray, "out in *spatial"]
    ) -> Num[np.ndarray, "a b *turned"]:
        """Return the transformed weight."""
        axes = (1, 0) if self.swaps else (0, 1)
        weight = weight.transpose(*axes, *(2 + axis for axis in self.order))
        places = tuple(slice(None, None, -1 if reverse else 1) for reverse in self.reverses)
        inputs = slice(None, None, -1 if self.reverses_inputs else 1)
        weight = np.ascontiguousarray(weight[(slice(None), inputs, *places)])
        return -weight if self.negates else weight

    @property
    def text(self) -> str:
        """The transformation in words."""
        parts = ["output and input channels exchanged"] if self.swaps else []
        if self.reverses_inputs:
            parts.append("input channels in reverse order, as RGB and BGR")
        turn = self.order, self.reverses
        if turn != _still(len(self.order)):
            parts.append(_TURNS.get(turn) or _axes_text(*turn))
        return ", ".join([*parts, *(["negated"] if self.negates else [])])


def negation(rank: int) -> Transform:
    """Return the transformation that changes the signs of weights of so many spatial axes alone."""
    return Transform(False, *_still(rank), negates=True)


def transforms(rank: int) -> Iterator[Transform]:
    """Yield the transformations of weights of so many spatial axes, but for signs and reversed inputs."""
    orders = itertools.permutations(range(rank))
    flips = tuple(itertools.product((False, True), repeat=rank))
    for swaps, order, reverses in itertools.product((False, True), tuple(orders), flips):
        yield Transform(swaps, order, reverses)


def find_transform(a: Weight, b: Other, cosine: float = 0.0) -> Transform | None:
    """Return the transformation under which `b` is like `a`; None if it is so as it is, or under none.

    Runs on the host. Tried are all orders and reversals of the spatial axes, exchanged channels and both
    signs, and for weights of 3 or 4 input channels their reverse order.

    Args:
        a, b: weights (out, in, *spatial), of one shape or of shapes that exchanged axes make equal.
        cosine: the cosine of both as they are; 0 if their shapes differ.
    """
    rank = a.ndim - 2
    if rank != b.ndim - 2 or not 1 <= rank <= MOST_AXES:
        return None
    cosine = max(cosine, 0.0)
    best, largest = None, max(CLEAR, min(MORE * cosine, 1 - NEARER * (1 - cosine)))
    for transform, value, z in _cosines(a, b):
        if abs(value) > largest and abs(z) >= SMALLEST_Z:
            best, largest = transform._replace(negates=value < 0), abs(value)
    return None if best is None or not best.text else best


def _cosines(a: Weight, b: Other) -> Iterator[tuple[Transform, float, float]]:
    """Yield the transformations that make shapes equal, each with the cosine under it and its z."""
    candidates = [x for x in transforms(a.ndim - 2) if x.shape(b.shape) == a.shape]
    u, n = _centered(a)
    for swaps in sorted({x.swaps for x in candidates}):
        channels = b.swapaxes(0, 1) if swaps else b
        v, m = _centered(channels)
        if min(n, m) < 2:
            continue
        orders = [("", v)]
        if b.shape[1] in (3, 4) and not swaps:
            orders.append(
                ("reversed", v.reshape(*channels.shape[:2], -1)[:, ::-1].reshape(v.shape))
            )
        taps = np.arange(v.shape[1]).reshape(b.shape[2:])
        grams = [(x.T @ x).astype(np.float64) for x in (u, v)]
        for name, rows in orders:
            product = (u.T @ rows).astype(np.float64)
            for transform in candidates:
                if transform.swaps == swaps:
                    places = _turned(taps, transform).reshape(-1)
                    value = float(product[np.arange(len(places)), places].sum())
                    spread = float(np.sum(grams[0] * grams[1][np.ix_(places, places)]))
                    length = math.sqrt(np.trace(grams[0]) * np.trace(grams[1]))
                    if length > 0 and spread > 0:
                        z = value / math.sqrt(spread / (min(n, m) - 1))
                        yield transform._replace(reverses_inputs=bool(name)), value / length, z


def _turned(taps: Int[np.ndarray, "*spatial"], transform: Transform) -> Int[np.ndarray, "*turned"]:
    spatial = transform._replace(swaps=False, negates=False, reverses_inputs=False)
    return spatial(taps[None, None])[0, 0]


def _centered(weight: Weight) -> tuple[Float[np.ndarray, "n d"], int]:
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    directions, n, _ = centered_directions(rows)
    return directions, n


def _still(rank: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    return tuple(range(rank)), (False,) * rank


def _axes_text(order: tuple[int, ...], reverses: tuple[bool, ...]) -> str:
    """Return the words for spatial axes in any order and reversed."""
    is_ordered = order == tuple(range(len(order)))
    moved = [] if is_ordered else [f"spatial axes in the order {' '.join(map(str, order))}"]
    axes = [str(axis) for axis, reverse in enumerate(reverses) if reverse]
    return ", ".join(
        [*moved, *([f"reversed along spatial axis {' and '.join(axes)}"] if axes else [])]
    )
