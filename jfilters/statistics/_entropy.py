"""Variance entropy: how evenly the kernels of a layer use the directions they could use."""

from jaxtyping import Float

from ._arrays import RealArray, defined, namespace, rounding
from ._moments import Moments, covariance


def entropy_from_moments(
    moments: Moments, *, limit: float | None = None
) -> Float[RealArray, "*sets"]:
    """Return the `variance_entropy` of the kernels behind `moments`, to base 10; leading axes stack.

    Weights must be far below 1e19, so that no square overflows. Equal kernels have no direction: a
    variance that is rounding of the mean counts as 0. NaN for fewer than two kernels, and for moments
    that are not finite. NumPy moments are computed on the host; JAX moments work under jit and vmap.

    **Arguments:**

    - `limit`: the spread, beside the size of the mean, that is rounding; by default that of the type.
    """
    return defined(moments.count >= 2, spread_entropy(moments, limit=limit))


def spread_entropy(moments: Moments, *, limit: float | None = None) -> Float[RealArray, "*sets"]:
    """Return `entropy_from_moments`, but 0 for fewer than two kernels."""
    xp = namespace(moments.scatter)
    spread = covariance(moments)
    variance = xp.trace(spread, axis1=-2, axis2=-1)
    limit = rounding(spread) if limit is None else limit
    noise = limit**2 * (xp.sum(moments.mean**2, axis=-1) + variance)
    # A NaN compares as neither above nor below, and has to stay one.
    return xp.where(variance <= noise, 0.0, entropy_of_covariance(spread))


def entropy_of_covariance(covariance: Float[RealArray, "*sets d d"]) -> Float[RealArray, "*sets"]:
    """Return H = -sum p log10 p, p the eigenvalues of `covariance` over their sum.

    0 for a zero matrix; log10(d) for equal eigenvalues; NaN for a matrix that is not finite. Leading
    axes stack. Negative eigenvalues, which rounding leaves, count as 0. NumPy arrays are computed on the
    host; JAX arrays work under jit and vmap.
    """
    # The d x d covariance, not an SVD of n x d: d is 9 or 25, n may be a million.
    xp = namespace(covariance)
    finite = xp.all(xp.isfinite(covariance), axis=(-2, -1), keepdims=True)
    # Solvers of LAPACK may raise, or give any numbers, for a NaN.
    values = xp.maximum(xp.linalg.eigvalsh(xp.where(finite, covariance, 0)), 0)
    total = xp.sum(values, axis=-1, keepdims=True)
    p = values / xp.where(total > 0, total, 1)
    safe = xp.where(p > 0, p, 1)
    entropy = 0 - xp.sum(safe * xp.log10(safe), axis=-1)
    return defined(finite[..., 0, 0], entropy)
