"""Which weights of two networks belong together by what they hold, and in which order of channels.

A signature is a few kernels of a weight, so that many weights are compared and few are in memory.
"""

import numpy as np
from jaxtyping import Float, Int

from ._kinship import Kinship, kinship

SIGNATURE = 256
"""Kernels of a weight that stand for it."""

RELATED_SIGMAS = 5.0
"""Standard deviations above a random matching: by chance once in three million weights."""

RELATED_EXCESS = 0.1
"""Cosine above chance. Kernels are not drawn independently, so that in large layers a small excess
means little: networks trained apart stay within 0.05."""

DISTINCT_CHANNELS = 16
"""Channels whose best partners are all different by chance once in a million: 16! / 16^16."""

Weight = Float[np.ndarray, "out in *spatial"]


def is_related(found: Kinship) -> bool:
    """Whether matched kernels are closer than chance and the effects of architecture make them."""
    return found.excess >= RELATED_EXCESS and found.sigmas >= RELATED_SIGMAS


def signature(weight: Weight) -> Float[np.ndarray, "m d"]:
    """At most `SIGNATURE` kernels, evenly spaced over the weight."""
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), SIGNATURE)).astype(np.int64)
    return rows[chosen]


def by_content(
    first: Float[np.ndarray, "k m d"], second: Float[np.ndarray, "l m d"]
) -> list[tuple[int, int]]:
    """Pairs of weights, given by their signatures, whose kernels are related; the closest first.

    Every weight is in one pair at most.
    """
    found = {(i, j): kinship(a, b) for i, a in enumerate(first) for j, b in enumerate(second)}
    related = [pair for pair, kin in found.items() if is_related(kin)]
    pairs: list[tuple[int, int]] = []
    for i, j in sorted(related, key=lambda pair: -found[pair].mean):
        if all(i != left and j != right for left, right in pairs):
            pairs.append((i, j))
    return pairs


def channel_order(
    a: Weight, b: Weight
) -> tuple[Int[np.ndarray, " out"], Int[np.ndarray, " in"]] | None:
    """The order of output and input channels in which `b` is like `a`; None if there is none.

    Each channel of `a` looks for the most similar one of `b`; only if all find different ones, which
    for `DISTINCT_CHANNELS` or more does not happen by chance, is that an order.
    """
    out, inner = a.shape[:2]
    largest = [float(np.abs(x).max(initial=0)) for x in (a, b)]
    if out < DISTINCT_CHANNELS or not all(np.isfinite(largest)) or not all(largest):
        return None
    # In units of the largest weight, so that no square overflows.
    a, b = (x.reshape(out, inner, -1) / np.float32(y) for x, y in zip((a, b), largest, strict=True))
    outputs = _partners(_profiles(a), _profiles(b))
    if outputs is None:
        return None
    # With the outputs in order, an input channel is known by all its weights.
    sides = (x.swapaxes(0, 1).reshape(inner, -1) for x in (a, b[outputs]))
    inputs = _partners(*sides)
    return None if inputs is None else (outputs, inputs)


def _profiles(weight: Float[np.ndarray, "out in d"]) -> Float[np.ndarray, "out k"]:
    """What is known of each output channel whatever the order of the input channels."""
    parts = (weight.mean(axis=1), np.abs(weight).mean(axis=1), weight.std(axis=1))
    profiles = np.concatenate(parts, axis=1)
    spread = profiles.std(axis=0)
    return (profiles - profiles.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _partners(
    a: Float[np.ndarray, "k m"], b: Float[np.ndarray, "k m"]
) -> Int[np.ndarray, " k"] | None:
    """For each row of `a` the nearest of `b`; None unless all are different."""
    distance = np.sum(np.square(b), axis=1)[None, :] - 2 * (a @ b.T)
    nearest = np.argmin(distance, axis=1)
    return nearest if len(np.unique(nearest)) == len(nearest) else None
