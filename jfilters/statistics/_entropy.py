"""Variance entropy: how evenly the kernels of a layer use the directions they could use."""

from jaxtyping import Float

from ._arrays import ROUNDING, RealArray, namespace
from ._moments import Moments, covariance


def entropy_from_moments(moments: Moments) -> Float[RealArray, "*sets"]:
    """Return the `variance_entropy` of the kernels behind `moments`, to base 10; leading axes stack.

    Weights must be far below 1e19, so that no square overflows. Equal kernels have no direction: a
    variance that is float32 rounding of the mean counts as 0. NaN for fewer than two kernels. NumPy
    moments are computed on the host; JAX moments work under jit and vmap.
    """
    xp = namespace(moments.scatter)
    spread = covariance(moments)
    variance = xp.trace(spread, axis1=-2, axis2=-1)
    noise = ROUNDING**2 * (xp.sum(moments.mean**2, axis=-1) + variance)
    entropy = xp.where(variance > noise, entropy_of_covariance(spread), 0.0)
    return xp.where(moments.count >= 2, entropy, xp.nan)


def entropy_of_covariance(covariance: Float[RealArray, "*sets d d"]) -> Float[RealArray, "*sets"]:
    """Return H = -sum p log10 p, p the eigenvalues of `covariance` over their sum.

    0 for a zero matrix; log10(d) for equal eigenvalues. Leading axes stack. Negative eigenvalues, which
    rounding leaves, count as 0. NumPy arrays are computed on the host; JAX arrays work under jit and
    vmap.
    """
    # The d x d covariance, not an SVD of n x d: d is 9 or 25, n may be a million.
    xp = namespace(covariance)
    values = xp.maximum(xp.linalg.eigvalsh(covariance), 0)
    total = xp.sum(values, axis=-1, keepdims=True)
    p = values / xp.where(total > 0, total, 1)
    safe = xp.where(p > 0, p, 1)
    return xp.asarray(0 - xp.sum(safe * xp.log10(safe), axis=-1))
