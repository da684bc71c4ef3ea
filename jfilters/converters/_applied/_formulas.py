"""The formulas by which frameworks make an effective weight of what they store.

Arrays are NumPy's or JAX's, traced ones included: each formula uses the operations of what it is given.
NumPy arrays are computed with in float64 and end as float32, one tensor at a time.
"""

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

_TINY = 1e-12
"""Added to squared norms by all frameworks, so that a zero vector stays zero."""


def masked(weight: Any, mask: Any) -> Any:
    """Return w * mask, as torch.nn.utils.prune and torch.ao.pruning apply it."""
    xp = _namespace(weight)
    return _narrow(xp, _wide(xp, weight) * _wide(xp, mask))


def weight_norm(scale: Any, direction: Any, *, axis: int = 0) -> Any:
    """Return g v / |v|, the norm over all axes in which g has one entry; g of one axis runs along `axis`.

    Source: Salimans & Kingma, arXiv:1602.07868.
    """
    xp = _namespace(direction)
    g = _wide(xp, scale).reshape(scale_shape(scale.shape, direction.shape, axis))
    v = _wide(xp, direction)
    axes = tuple(axis for axis, size in enumerate(g.shape) if size == 1)
    norm = xp.sqrt(xp.square(v).sum(axis=axes, keepdims=True))
    return _narrow(xp, g * _divided(xp, v, norm))


def spectral_norm(weight: Any, u: Any, v: Any) -> Any:
    """Return w / sigma, sigma = u^T W v with the stored u and v, W the rows along the axis of u.

    A square weight fits along two axes: u and v are singular vectors of one of them, whose sigma is larger.

    Source: Miyato et al., arXiv:1802.05957; torch.nn.utils.spectral_norm in eval mode.
    """
    xp = _namespace(weight)
    w, u, v = (_wide(xp, array) for array in (weight, u, v))
    fitting = [axis for axis in (0, 1) if weight.shape[axis] == u.size]
    sigmas = xp.stack([u.ravel() @ _rows(xp, w, axis) @ v.ravel() for axis in fitting])
    sigma = sigmas[xp.argmax(xp.abs(sigmas))]
    return _narrow(xp, _divided(xp, w, sigma))


def spectral_norm_of_u(weight: Any, u: Any, *, axis: int) -> Any:
    """Return w / sigma after one power iteration from u alone, as Flax's SpectralNorm applies it."""
    xp = _namespace(weight)
    w = _wide(xp, weight)
    rows, u = _rows(xp, w, axis), _wide(xp, u).ravel()
    v = _unit(xp, u @ rows)
    sigma = _unit(xp, rows @ v) @ rows @ v
    return _narrow(xp, _divided(xp, w, sigma))


def dequantized(weight: Any, scale: Any, zero: Any | None = None, *, axis: int = 0) -> Any:
    """Return (w - zero) * scale; scale and zero are single or run along `axis`."""
    xp = _namespace(weight)
    w = _wide(xp, weight)
    if zero is not None:
        w = w - _wide(xp, zero).reshape(scale_shape(zero.shape, weight.shape, axis))
    return _narrow(xp, w * _wide(xp, scale).reshape(scale_shape(scale.shape, weight.shape, axis)))


def merged(weight: Any, down: Any, up: Any, alpha: Any, middle: Any | None = None) -> Any:
    """Return w + alpha / r * up down, r the rank; `middle` is the small kernel between 1x1 convolutions.

    Source: Hu et al., arXiv:2106.09685; Yeh et al., arXiv:2309.14859 for convolutions.
    """
    xp = _namespace(weight)
    w, a, b = (_wide(xp, array) for array in (weight, down, up))
    rank = a.shape[0]
    b = b.reshape(-1, rank)
    if middle is None:
        delta = b @ a.reshape(rank, -1)
    else:
        kernel = xp.tensordot(_wide(xp, middle), a.reshape(rank, -1), axes=((1,), (0,)))
        delta = xp.moveaxis(xp.tensordot(b, kernel, axes=((1,), (0,))), -1, 1)
    return _narrow(xp, w + _wide(xp, alpha).reshape(()) / rank * delta.reshape(w.shape))


def scale_shape(
    scale: tuple[int, ...], weight: tuple[int, ...], axis: int = 0
) -> tuple[int, ...] | None:
    """Return the shape in which a scale broadcasts against a weight; None if it does not fit.

    One entry for all, one for each index of `axis`, or as many axes as the weight has.
    """
    if math.prod(scale) == 1:
        return (1,) * len(weight)
    if len(scale) == len(weight):
        fits = all(size in (1, extent) for size, extent in zip(scale, weight, strict=True))
        return scale if fits else None
    shape = [1] * len(weight)
    shape[axis] = math.prod(scale)
    return tuple(shape) if max(scale) == shape[axis] == weight[axis] else None


def _namespace(array: Any) -> ModuleType:
    # A JAX array exists only where JAX was imported; NumPy's need no import that takes half a second.
    jax = sys.modules.get("jax")
    return jax.numpy if jax is not None and isinstance(array, jax.Array) else np


def _wide(xp: ModuleType, array: Any) -> Any:
    return xp.asarray(array).astype(np.float64 if xp is np else np.float32)


def _narrow(xp: ModuleType, array: Any) -> Any:
    return array.astype(xp.float32)


def _divided(xp: ModuleType, array: Any, divisor: Any) -> Any:
    """Divide by a norm; what has none stays as it is."""
    return array / xp.where(divisor == 0, 1, divisor)


def _unit(xp: ModuleType, vector: Any) -> Any:
    return vector / xp.sqrt(xp.square(vector).sum() + _TINY)


def _rows(xp: ModuleType, weight: Any, axis: int) -> Any:
    """The weight as a matrix whose rows run along one axis."""
    return xp.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
