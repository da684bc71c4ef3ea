"""A basis that no data made, so that drift in it compares over steps, runs and machines."""

import functools

import numpy as np
from jaxtyping import Float

from .._traced import check_static
from ..statistics import Basis


def cosine_basis(spatial: tuple[int, ...]) -> Basis:
    """The discrete cosine transform of kernels of one size, as a basis of equal weights 1/d.

    Its mean is zero and its components are orthonormal, by rising frequency: the first is the mean of
    the taps, the next its gradients. No coefficient of a normalized kernel is larger than sqrt(d), so
    all lie inside the fixed range of histograms.
    """
    check_static(spatial=spatial)
    if not spatial or min(spatial) < 1:
        raise ValueError(f"expected a kernel size such as (3, 3), got {spatial}")
    components = functools.reduce(np.kron, map(_cosines, spatial))
    d = len(components)
    order = np.argsort(_frequencies(spatial), kind="stable")
    return Basis(
        mean=np.zeros(d), components=_point_up(components[order]), variance_ratio=np.full(d, 1 / d)
    )


def _cosines(k: int) -> Float[np.ndarray, "k k"]:
    """The orthonormal cosine transform (DCT-II) along one axis, one frequency a row."""
    frequency, tap = np.arange(k)[:, None], np.arange(k)[None]
    waves = np.cos(np.pi * frequency * (2 * tap + 1) / (2 * k))
    return waves / np.linalg.norm(waves, axis=1, keepdims=True)


def _frequencies(spatial: tuple[int, ...]) -> Float[np.ndarray, " d"]:
    """The length of the frequency vector of every component, in cycles a kernel."""
    axes = np.meshgrid(*map(np.arange, spatial), indexing="ij")
    return np.sqrt(sum(axis.astype(np.float64) ** 2 for axis in axes)).ravel()


def _point_up(components: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    # The cosines of an odd number of taps have entries that are zero but for rounding.
    largest = np.argmax(np.round(np.abs(components), 12), axis=1)[:, None]
    return components * np.sign(np.take_along_axis(components, largest, axis=1))
