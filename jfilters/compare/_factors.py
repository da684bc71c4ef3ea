"""Numbers by which kernels were multiplied: one for each channel, or one for each kernel."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

Weight = Float[np.ndarray, "out in *spatial"]
Factors = Float[np.ndarray, "out in"]

Scope = Literal["layer", "output channel", "input channel", "output and input channel", "kernel"]

_ONE_EACH: tuple[tuple[Scope, tuple[int, ...]], ...] = (
    ("layer", (0, 1)),
    ("output channel", (1,)),
    ("input channel", (0,)),
)
"""Scopes with the axes over which their factors are equal."""

EQUAL = 0.01
"""Relative deviation up to which factors are those of their channels: rounding to bfloat16 makes less."""

ROUNDS = 5
"""Rounds of least squares for the factors of both channels; without zero kernels one is enough."""


def kernel_factors(a: Weight, b: Weight) -> Factors:
    """Return the numbers by which the kernels of `a` come nearest to those of `b`; NaN for zero kernels."""
    u, v = (x.reshape(*x.shape[:2], -1).astype(np.float64) for x in (a, b))
    squares = np.einsum("oid,oid->oi", u, u)
    products = np.einsum("oid,oid->oi", u, v)
    return np.divide(products, squares, out=np.full_like(squares, np.nan), where=squares > 0)


def factor_scope(factors: Factors) -> Scope:
    """Return for what there is one number each: the layer, a channel, both channels, or every kernel."""
    is_defined = np.isfinite(factors)
    filled = np.where(is_defined, factors, 0)
    if not is_defined.any():
        return "layer"
    for scope, axes in _ONE_EACH:
        counts = np.maximum(is_defined.sum(axis=axes, keepdims=True), 1)
        if _is_near(filled, filled.sum(axis=axes, keepdims=True) / counts, is_defined):
            return scope
    return "output and input channel" if _has_both(filled, is_defined) else "kernel"


def _has_both(factors: Factors, is_defined: Bool[np.ndarray, "out in"]) -> bool:
    """Return whether every factor is one of its output channel times one of its input channel."""
    row = np.argmax(is_defined.sum(axis=1))
    inner = np.where(is_defined[row], factors[row], 1.0)
    outer = np.ones(len(factors))
    for _ in range(ROUNDS):
        outer = _scales(factors, is_defined, inner)
        inner = _scales(factors.T, is_defined.T, outer)
    return _is_near(factors, outer[:, None] * inner, is_defined)


def _scales(
    factors: Factors, is_defined: Bool[np.ndarray, "out in"], other: Float[np.ndarray, " in"]
) -> Float[np.ndarray, " out"]:
    # Relative errors count, so that channels of small factors are not lost beside large ones.
    ratios = np.divide(factors, other, out=np.zeros_like(factors), where=is_defined & (other != 0))
    counts = np.count_nonzero(ratios, axis=1)
    return np.divide(ratios.sum(axis=1), counts, out=np.ones(len(ratios)), where=counts > 0)


def _is_near(
    factors: Factors, expected: Float[np.ndarray, "..."], is_defined: Bool[np.ndarray, "out in"]
) -> bool:
    error = np.abs(factors - expected)
    return bool(np.all(error <= EQUAL * np.abs(expected) + 1e-30, where=is_defined))
