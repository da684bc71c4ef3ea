"""The Frechet distance of two kernel sets: optimal transport between Gaussians of their moments.

From counts, means and scatters alone, d x d matrices all of it.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..statistics import Moments, covariance
from ..statistics.internal import RealArray, namespace

_NO_VARIANCE = 1e-14  # of the largest variance: what rounding leaves of none


def frechet(
    a: Any, b: Any, *, where_a: Any = None, where_b: Any = None
) -> Float[RealArray, "*sets"]:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), in the squared unit of the kernels.

    The distance between the Gaussians of the coefficients, in any basis: a rotation changes nothing. 0 for
    equal means and covariances, symmetric, without an upper bound. Two samples of one distribution give
    about (1/n + 1/m) times the total variance or more. Moments of NumPy are compared on the host in
    float64; JAX arrays work under jit, vmap and grad, with a finite gradient also where eigenvalues are
    equal or zero.

    **Arguments:**

    - `a`, `b`: `Moments`, whose leading axes stack; or kernels, of which the moments of normalized kernels
      are compared: (n, d) rows, an (out, in, *spatial) weight, or `Kernels` of one size, layer by layer.
    - `where_a`, `where_b`: masks of the kernels that count, as in `drift`.

    **Raises:** ValueError for what is neither, and for moments or kernels of different numbers of taps.
    TypeError for kernels that are not of floating point.

    Source: Dowson & Landau, "The Frechet distance between multivariate normal distributions", 1982.

    >>> import jax
    >>> from jfilters.shift import frechet
    >>> kernels = jax.random.normal(jax.random.key(0), (500, 9))
    >>> bool(frechet(kernels, 2 * kernels) < 1e-5), bool(jax.jit(frechet)(kernels, kernels**3) > 0.1)
    (True, True)
    """
    first, second = _moments(a, where_a), _moments(b, where_b)
    d = first.mean.shape[-1]
    if second.mean.shape[-1] != d:
        raise ValueError(f"expected kernels of {d} taps, got {second.mean.shape[-1]} taps")
    if all(namespace(array) is np for array in (*first, *second)):
        return np.asarray(np.sum(frechet_components(first, second, np.eye(d)), axis=-1))
    from ._gaussian_frechet import gaussian_frechet  # a compiler, which the host does not need

    return gaussian_frechet(first, second)


def _moments(side: Any, where: Any) -> Moments:
    if isinstance(side, Moments):
        if where is not None:
            raise ValueError("a mask chooses kernels, and moments have none; leave out where")
        return side
    from ._gaussian_frechet import moments_in

    return moments_in(side, where)


def frechet_components(
    a: Moments, b: Moments, components: Float[np.ndarray, "d d"]
) -> Float[np.ndarray, "*sets d"]:
    """Return what each of the orthonormal `components`, one a row, adds to `frechet`; none is negative.

    The mean squared way along the component in the optimal transport from one Gaussian to the other, in
    the squared unit of the kernels. Leading axes of the moments stack. Runs on the host.

    Source: derived for this project.
    """
    first, second = np.asarray(covariance(a)), np.asarray(covariance(b))
    means = np.asarray(a.mean - b.mean) @ components.T
    moved = first + second - 2 * _coupling(first, second)
    along = np.einsum("ij,...jk,ik->...i", components, moved, components)
    return means**2 + np.maximum(along, 0)


def _coupling(
    first: Float[np.ndarray, "*#sets d d"], second: Float[np.ndarray, "*#sets d d"]
) -> Float[np.ndarray, "*#sets d d"]:
    """The cross-covariance of the optimal coupling, R (R S R)^(-1/2) R S with R the root of `first`.

    Written with a pseudo-inverse root, it holds for sets that do not vary in some direction too.
    """
    root = _power(first, 0.5)
    return root @ _power(root @ second @ root, -0.5) @ root @ second


def _power(
    symmetric: Float[np.ndarray, "*sets d d"], exponent: float
) -> Float[np.ndarray, "*sets d d"]:
    """A power of positive semi-definite matrices; directions without variance stay without."""
    values, vectors = np.linalg.eigh(symmetric)
    is_positive = values > _NO_VARIANCE * np.maximum(values[..., -1:], np.finfo(float).tiny)
    powers = np.where(is_positive, np.where(is_positive, values, 1) ** exponent, 0)
    return (vectors * powers[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def frechet_null(
    rng: np.random.Generator,
    pooled: Moments,
    sizes: tuple[float, float],
    *,
    replicates: int = 200,
) -> Float[np.ndarray, " replicates"]:
    """Draw `frechet` between samples of `sizes` kernels, both from the Gaussian of the `pooled` moments.

    The mean and scatter of each sample are drawn as such, not its kernels, by Bartlett's decomposition:
    the cost does not depend on the sizes. Runs on the host.

    **Arguments:**

    - `pooled`: the moments of both sets together.
    - `sizes`: numbers of kernels of the two samples.
    - `replicates`: pairs of samples, one value each.
    """
    root = _power(np.asarray(covariance(pooled)), 0.5)
    first, second = (_drawn_moments(rng, root, size, replicates) for size in sizes)
    return np.asarray(frechet(first, second))


def _drawn_moments(
    rng: np.random.Generator, root: Float[np.ndarray, "d d"], size: float, replicates: int
) -> Moments:
    d, n = len(root), max(round(size), 2)
    factor = np.tril(rng.normal(size=(replicates, d, d)), -1)
    # Fewer kernels than taps leave no freedom to the last ones.
    freedom = np.maximum(n - 1 - np.arange(d), 0)
    chi = np.sqrt(2 * rng.standard_gamma(freedom / 2, size=(replicates, d)))
    factor += chi[..., None] * np.eye(d)
    factor[:, :, n - 1 :] = 0
    moved = root[None] @ factor
    mean = rng.normal(size=(replicates, d)) @ root.T / np.sqrt(n)
    return Moments(np.full(replicates, float(n)), mean, moved @ np.swapaxes(moved, -1, -2))
