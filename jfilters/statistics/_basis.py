"""The shared basis: principal components of normalized kernels.

Fitted once from merged moments on the host in float64, used in every block on the device in
float32.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .._traced import on_host
from ._arrays import RealArray, rounding
from ._moments import Moments, covariance, host_moments


class Basis(NamedTuple):
    """Mean, components (one a row) and variance ratio of a population of normalized kernels.

    Components come by falling variance; in each, the entry of largest magnitude is positive. A named
    tuple of arrays, NumPy as `fit_basis` gives it, and so a pytree for jit and vmap.

    >>> import jfilters as jf
    >>> import numpy as np
    >>> basis = jf.Basis(mean=np.zeros(2), components=np.eye(2), variance_ratio=np.array([0.8, 0.2]))
    >>> basis.components.shape
    (2, 2)
    """

    mean: Float[RealArray, " d"]
    components: Float[RealArray, "d d"]
    variance_ratio: Float[RealArray, " d"]


@on_host("fit the basis outside of the program and pass it in: a Basis is a pytree")
def fit_basis(moments: Moments) -> Basis:
    """Return the principal components of the kernels behind `moments`, as float64 NumPy arrays.

    Runs on the host: a d x d eigen-decomposition, however many kernels there are.

    **Arguments:**

    - `moments`: of one set of normalized kernels; merge those of several sets with `merge_moments`.

    Raises ValueError for fewer than two kernels, and for kernels that do not vary or are not
    finite.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jfilters as jf
    >>> import numpy as np
    >>> kernels = np.random.default_rng(0).normal(size=(100, 9)).astype(np.float32)
    >>> normalized = jf.statistics.host_normalize(kernels)
    >>> basis = jf.fit_basis(jf.statistics.host_set_moments(normalized))
    >>> basis.components.shape, round(float(basis.variance_ratio.sum()), 6)
    ((9, 9), 1.0)
    """
    limit = rounding(moments.scatter)
    moments = host_moments(moments)
    spread = covariance(moments)
    _check_variance(moments, float(np.trace(spread)), limit)
    values, vectors = np.linalg.eigh(spread)
    # eigh sorts upward, and rounding can push a vanishing variance below zero.
    values = np.maximum(values[::-1], 0)
    return Basis(
        mean=np.asarray(moments.mean),
        components=_point_up(vectors.T[::-1]),
        variance_ratio=values / np.sum(values),
    )


def _check_variance(moments: Moments, variance: float, limit: float) -> None:
    if not np.isfinite(variance):
        raise ValueError("expected finite moments to fit a basis to, got NaN or infinity")
    if moments.count < 2:
        raise ValueError(
            f"expected at least 2 kernels to fit a basis to, got {int(moments.count)}; "
            "pool more layers"
        )
    if variance <= limit**2 * (np.sum(moments.mean**2) + variance):
        raise ValueError(
            f"expected kernels that vary to fit a basis to, got {int(moments.count)} equal "
            "kernels; pool more layers"
        )


def _point_up(components: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    largest = np.argmax(np.abs(components), axis=1)[:, None]
    return components * np.sign(np.take_along_axis(components, largest, axis=1))
