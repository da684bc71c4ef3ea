"""Samples of kernels on the host, as callers hold them: rows, weights, or the layers of networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from ..statistics.internal import KernelsLike, WhereLike, is_layered, layer_masks, layer_rows


def sample(
    kernels: KernelsLike, weights: Any, where: WhereLike
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"] | None]:
    """Return the kernels that count, one a row, and their weights, or None where there are none."""
    rows, counted = layer_rows(kernels, where, np)
    weights = None if weights is None else np.asarray(weights)
    if where is None:
        return rows, weights
    return rows[counted], None if weights is None else weights[counted]


def by_layer_pair(
    value: Callable[..., float],
    x: KernelsLike,
    y: KernelsLike,
    where_x: WhereLike,
    where_y: WhereLike,
) -> float | Float[np.ndarray, " layers"]:
    """Return `value` of two samples and their masks, or one value a pair of layers of `Kernels`."""
    if not is_layered(x) and not is_layered(y):
        return value(x, y, where_x, where_y)
    if not (is_layered(x) and is_layered(y) and len(x.weights) == len(y.weights)):
        raise ValueError("expected Kernels of equally many layers on both sides, or one layer each")
    n = len(x.weights)
    masks = layer_masks(where_x, n), layer_masks(where_y, n)
    return np.array([value(*pair) for pair in zip(x.weights, y.weights, *masks, strict=True)])
