"""Matching of the weights of two networks by their values, and of the order of their channels.

A signature is a few kernels of a weight, so that many weights are compared and few are in memory.
"""

import numpy as np
from jaxtyping import Float, Int

from ..statistics.internal import host_unit_kernels
from ._kernel_similarity import KernelSimilarity, kernel_similarity

SIGNATURE = 256
"""Kernels of a weight that stand for it."""

RELATED_Z = 5.0
"""Standard deviations above random matching, which exceeds them once in three million weights."""

RELATED_EXCESS = 0.1
"""Cosine above the null mean. Kernels are not drawn independently, so that in large layers a small excess
means little: networks trained apart stay within 0.05."""

DISTINCT_CHANNELS = 16
"""Channels whose best partners are all different at random once in a million: 16! / 16^16."""

Weight = Float[np.ndarray, "out in *spatial"]


def is_related(similarity: KernelSimilarity) -> bool:
    """Return True where matched kernels are closer than the null and architecture explain.

    The mean cosine has to lie `RELATED_EXCESS` and `RELATED_Z` standard deviations above its null
    mean. Runs on the host.
    """
    return similarity.excess >= RELATED_EXCESS and similarity.z >= RELATED_Z


def signature(weight: Weight) -> Float[np.ndarray, "m d"]:
    """Return at most `SIGNATURE` kernels, evenly spaced over the weight, one a row.

    A signature stands for its weight in `by_content`, so that many weights are compared while few are
    in memory. The spacing starts at the first kernel and ends at the last. Runs on the host.
    """
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), SIGNATURE)).astype(np.int64)
    return rows[chosen]


def by_content(
    first: Float[np.ndarray, "k m d"], second: Float[np.ndarray, "l m d"]
) -> list[tuple[int, int]]:
    """Return pairs of weights, by their signatures, whose kernels are related; the closest first.

    Every weight is in one pair at most. All k x l pairs of signatures are compared. Runs on the host.

    **Arguments:**

    - `first`, `second`: signatures of the weights of two networks, all of one shape.
    """
    similarities = {
        (i, j): kernel_similarity(a, b) for i, a in enumerate(first) for j, b in enumerate(second)
    }
    related = [pair for pair, similarity in similarities.items() if is_related(similarity)]
    pairs: list[tuple[int, int]] = []
    for i, j in sorted(related, key=lambda pair: -similarities[pair].mean):
        if all(i != row and j != column for row, column in pairs):
            pairs.append((i, j))
    return pairs


def channel_order(
    a: Weight, b: Weight
) -> tuple[Int[np.ndarray, " out"], Int[np.ndarray, " in"]] | None:
    """Return the order of output and input channels in which `b` is like `a`; None if there is none.

    Each channel of `a` takes the most similar one of `b`. Only if all take different ones, which for
    `DISTINCT_CHANNELS` or more does not happen at random, is that an order. Where the weights show none,
    the directions of the kernels may: those of channels that were rescaled. Runs on the host.
    """
    out, inner = a.shape[:2]
    largest = [float(np.abs(x).max(initial=0)) for x in (a, b)]
    if out < DISTINCT_CHANNELS or not all(np.isfinite(largest)) or not all(largest):
        return None
    a, b = (x.reshape(out, inner, -1) for x in (a, b))
    # In units of the largest weight, so that no square overflows.
    units = (x / np.float32(y) for x, y in zip((a, b), largest, strict=True))
    return _order(*units) or _order(*(_directions(x) for x in (a, b)))


def _directions(weight: Float[np.ndarray, "out in d"]) -> Float[np.ndarray, "out in d"]:
    return host_unit_kernels(weight.reshape(-1, weight.shape[2])).reshape(weight.shape)


def _order(
    a: Float[np.ndarray, "out in d"], b: Float[np.ndarray, "out in d"]
) -> tuple[Int[np.ndarray, " out"], Int[np.ndarray, " in"]] | None:
    inner = a.shape[1]
    outputs = _partners(_profiles(a), _profiles(b))
    if outputs is None:
        return None
    # With the outputs in order, an input channel is known by all its weights.
    sides = (x.swapaxes(0, 1).reshape(inner, -1) for x in (a, b[outputs]))
    inputs = _partners(*sides)
    return None if inputs is None else (outputs, inputs)


def _profiles(weight: Float[np.ndarray, "out in d"]) -> Float[np.ndarray, "out k"]:
    """Return features of each output channel that no order of the input channels changes."""
    parts = (weight.mean(axis=1), np.abs(weight).mean(axis=1), weight.std(axis=1))
    profiles = np.concatenate(parts, axis=1)
    spread = profiles.std(axis=0)
    return (profiles - profiles.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _partners(
    a: Float[np.ndarray, "k m"], b: Float[np.ndarray, "k m"]
) -> Int[np.ndarray, " k"] | None:
    """Return the nearest row of `b` for each row of `a`; None unless all are different."""
    distance = np.sum(np.square(b), axis=1)[None, :] - 2 * (a @ b.T)
    nearest = np.argmin(distance, axis=1)
    return nearest if len(np.unique(nearest)) == len(nearest) else None
