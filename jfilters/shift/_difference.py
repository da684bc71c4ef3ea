"""The difference of one weight from another of its shape, and what of it rounding and zeros explain.

NumPy on the host; every function takes float32 weights as they were read.
"""

from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float

Weight = Float[np.ndarray, "out *rest"]

NARROW = ("float8_e5m2", "float8_e4m3fn", "bfloat16", "float16")
"""Storage types whose rounding is recognized, by rising precision: a coarser one fits a finer one too."""

SAMPLED = 512
"""Values of a weight that are looked at before all of it."""

ARITHMETIC = "float32 arithmetic"
"""The label of `rounding` for the difference between two ways to compute one weight, such as g v / |v|."""

_SLACK = np.float32(2**-20)
"""Of a channel's largest weight: eight units of float32. The weight norm of 512 channels makes 3e-7."""


class Difference(NamedTuple):
    """Two weights of one shape, value by value.

    `n` values, of which `changed` differ; `norm` and `distance` are the Euclidean lengths of the first
    weight and of the change. `zeroed_first` counts values that are zero in the first alone, and
    `zeroed_second` likewise; `altered` those that differ and are zero in neither.
    """

    n: int
    changed: int
    norm: float
    distance: float
    zeroed_first: int
    zeroed_second: int

    @property
    def altered(self) -> int:
        """Values that differ though neither is zero."""
        return self.changed - self.zeroed_first - self.zeroed_second


def difference(a: Weight, b: Weight) -> Difference:
    """Count and measure how `b` differs from `a`, value by value.

    Values that are not finite differ, and add nothing to the lengths. Norm and distance are Euclidean, in
    the unit of the weights, summed in float64. Runs on the host.

    **Arguments:**

    - `a`, `b`: two weights of one shape.
    """
    with np.errstate(all="ignore"):
        change = b - a
    finite = np.isfinite(change)
    change = change if finite.all() else np.where(finite, change, 0)
    return Difference(
        n=a.size,
        changed=int(np.count_nonzero(a != b)),
        norm=_norm(a),
        distance=_norm(change),
        zeroed_first=int(np.count_nonzero((a == 0) & (b != 0))),
        zeroed_second=int(np.count_nonzero((b == 0) & (a != 0))),
    )


def rounding(a: Weight, b: Weight) -> str | None:
    """Return the storage type whose rounding explains every difference of `a` and `b`, or None.

    "" where there is no difference, and `ARITHMETIC` where the two were computed in float32 in different
    ways. Either weight, or both, may be the rounded one.
    """
    if np.array_equal(a, b):
        return ""
    slack = _SLACK * _largest(a, b)
    types = (narrowest(a), narrowest(b))
    allowed = sum((half_unit(x, t) for x, t in zip((a, b), types, strict=True) if t), slack)
    if types != (None, None) and _is_within(a, b, allowed):
        return " and ".join(dict.fromkeys(t for t in types if t))
    return ARITHMETIC if _is_within(a, b, slack) else None


def rounding_beside_zeros(a: Weight, b: Weight) -> str | None:
    """Return `rounding` of the values that are zero in neither weight: of those that pruning left alone.

    A pruned weight that was stored in a narrower type differs by zeros and by rounding; this names the
    type. "" where the other values are equal, None where no rounding explains them. Runs on the host.
    """
    is_nonzero = (a != 0) & (b != 0)
    return rounding(*(np.where(is_nonzero, x, np.float32(0)) for x in (a, b)))


def rescaling(a: Weight, b: Weight) -> float | None:
    """Return the share of the squared difference that stays when every kernel of `a` may be rescaled.

    Zero where each kernel of `b` is one of `a` times a number; about 1 - 1/d for a difference in any
    direction. None where there is no difference, or a weight is not finite. Runs on the host.

    Args:
        a, b: two weights of one shape (out, in, *spatial).
    """
    a, b = (x.reshape(x.shape[0] * x.shape[1], -1) for x in (a, b))
    with np.errstate(all="ignore"):
        distance = np.sum(np.square(b - a), dtype=np.float64)
        squares = np.einsum("ij,ij->i", a, a)
        products = np.einsum("ij,ij->i", a, b)
        factors = np.divide(products, squares, out=np.zeros_like(squares), where=squares > 0)
        remainder = np.sum(np.square(b - factors[:, None] * a), dtype=np.float64)
    is_defined = 0 < distance < np.inf and np.isfinite(remainder)
    return float(remainder / distance) if is_defined else None


def narrowest(weight: Weight) -> str | None:
    """Return the first type of `NARROW` that holds every value exactly; None where float32 is needed."""
    values = sample(weight.reshape(-1))
    for name in NARROW:
        if _holds(name, values) and _holds(name, weight):
            return name
    return None


def half_unit(values: Weight, name: str) -> Weight:
    """Return the most that rounding to a type moves each value."""
    limits = ml_dtypes.finfo(numpy_dtype(name))
    relative, smallest = (np.float32(x) / 2 for x in (limits.eps, limits.smallest_subnormal))
    return relative * np.abs(values) + smallest


def nonzero_rows(rows: Float[np.ndarray, "channels m"]) -> int:
    """Return how many channels are not zero: dead ones say nothing of a grid."""
    return int(np.count_nonzero(rows.any(axis=1)))


def numpy_dtype(name: str) -> np.dtype:
    """Return the NumPy type of a name, those of ml_dtypes too."""
    return np.dtype(getattr(ml_dtypes, name, name))


def sample(values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " k"]:
    """Return some hundred values, evenly spaced."""
    return values[:: max(1, len(values) // SAMPLED)]


def _holds(name: str, values: Float[np.ndarray, "*s"]) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.array_equal(values.astype(numpy_dtype(name)).astype(np.float32), values))


def _is_within(a: Weight, b: Weight, allowed: Float[np.ndarray, "..."]) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all((a == b) | (np.abs(a - b) <= allowed)))


def _largest(a: Weight, b: Weight) -> Float[np.ndarray, "out *ones"]:
    """Return the largest absolute value of each channel in either weight; 0 where not finite."""
    axes = tuple(range(1, a.ndim))
    largest = np.maximum(*(np.abs(x).max(axis=axes, keepdims=True, initial=0) for x in (a, b)))
    return np.where(np.isfinite(largest), largest, np.float32(0))


def _norm(values: Weight) -> float:
    flat = values.reshape(-1)
    return float(np.sqrt(np.einsum("i,i->", flat, flat, dtype=np.float64)))
