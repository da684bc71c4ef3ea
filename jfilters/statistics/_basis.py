"""The shared basis: principal components of normalized kernels.

Fitted once from merged moments on the host in float64, used in every block on the device in
float32.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._arrays import ROUNDING, RealArray
from ._moments import Moments, covariance, host_moments


class Basis(NamedTuple):
    """Mean, components (one a row) and variance ratio of a population of normalized kernels.

    Components come by falling variance; in each, the entry of largest magnitude is positive.
    """

    mean: Float[RealArray, " d"]
    components: Float[RealArray, "d d"]
    variance_ratio: Float[RealArray, " d"]


def fit_basis(moments: Moments) -> Basis:
    """The principal components of the kernels behind `moments`, as float64 NumPy arrays.

    Raises ValueError for fewer than two kernels, and for kernels that do not vary or are not
    finite.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    moments = host_moments(moments)
    spread = covariance(moments)
    _check_variance(moments, float(np.trace(spread)))
    values, vectors = np.linalg.eigh(spread)
    # eigh sorts upward, and rounding can push a vanishing variance below zero.
    values = np.maximum(values[::-1], 0)
    return Basis(
        mean=np.asarray(moments.mean),
        components=_point_up(vectors.T[::-1]),
        variance_ratio=values / np.sum(values),
    )


def _check_variance(moments: Moments, variance: float) -> None:
    if not np.isfinite(variance):
        raise ValueError("expected finite moments to fit a basis to, got NaN or infinity")
    if moments.count < 2:
        raise ValueError(
            f"expected at least 2 kernels to fit a basis to, got {int(moments.count)}; "
            "pool more layers"
        )
    if variance <= ROUNDING**2 * (np.sum(moments.mean**2) + variance):
        raise ValueError(
            f"expected kernels that vary to fit a basis to, got {int(moments.count)} equal "
            "kernels; pool more layers"
        )


def _point_up(components: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    largest = np.argmax(np.abs(components), axis=1)[:, None]
    return components * np.sign(np.take_along_axis(components, largest, axis=1))
