"""The variance entropy and the orthogonality that layers of random kernels reach."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from .._traced import check_static, on_host
from ._arrays import RealArray, defined, namespace

# The published fit, over log2 n, to the smallest entropy among many random layers of n 3x3 kernels
# (arXiv:2203.15331 prints two digits, torchconvquality 0.4 these).
SIGMOID_HEIGHT = 1.2618047
SIGMOID_CENTER = 2.30436435
SIGMOID_SLOPE = 0.88767525
SIGMOID_OFFSET = -0.31050834
SIGMOID_TAPS = 9


def randomness_threshold(n: Any, d: Any) -> Float[RealArray, "*s"]:
    """Return the variance entropy T_H(n) of random layers of `n` kernels with `d` taps, to base 10.

    For d = 9 the published sigmoid, which follows the smallest entropy that random layers show; for
    another d their mean entropy to first order in 1/n: within 1e-4 from n = 16 d, at n = 4 d within
    3e-4 for d > 9 and 2e-3 for d < 9. NaN for n < d or d < 2. Numbers and NumPy arrays are computed on
    the host; JAX arrays work under jit and vmap, with `d` static.

    **Arguments:**

    - `n`: the number of kernels, or an array of numbers.
    - `d`: the taps of a kernel.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331; closed form derived for this project.

    >>> import jfilters as jf
    >>> round(float(jf.randomness_threshold(1000, 9)), 3)
    0.95
    """
    check_static(d=d)
    xp = namespace(n)
    n = xp.asarray(n, dtype=xp.asarray(0.0).dtype)
    enough = xp.maximum(n, max(d, 2))
    threshold = _sigmoid(xp, enough) if d == SIGMOID_TAPS else _closed_form(enough, d)
    return defined((n >= d) & (d >= 2), threshold)


def mean_random_entropy(n: Any, d: int) -> Any:
    """Return the mean variance entropy of `n` random kernels with `d` taps, to first order in 1/n.

    NaN for n < d or d < 2. At n = d it is 1 % too low for d = 9 and a third for d = 3. `n` is a number, or
    an array of floating point.
    """
    return defined((n >= d) & (d >= 2), _closed_form(namespace(n).maximum(n, 2), d))


def random_entropy_deviation(n: Any, d: int) -> Any:
    """Return the standard deviation of the variance entropy of `n` random kernels, to first order in 1/n.

    Entropy falls short of log10(d) by a chi-squared variable with (d - 1)(d + 2) / 2 degrees of freedom
    over d (n - 1) ln 10. NaN for n < d or d < 2. `n` is a number, or an array of floating point.

    Source: derived for this project.
    """
    others = namespace(n).maximum(n, 2) - 1
    deviation = math.sqrt((d - 1) * (d + 2)) / (d * others * math.log(10))
    return defined((n >= d) & (d >= 2), deviation)


@on_host("row_length is a shape, which is static")
def random_orthogonality(row_length: int) -> float:
    """Return the orthogonality of random rows of D = `row_length` weights: 1 - sqrt(2 / (pi D)).

    The mean over Gaussian rows, close from some ten weights on. Rises to 1 with D. What a layer is
    compared with that was never trained. Runs on the host.

    Source: derived for this project.
    """
    return 1 - float(np.sqrt(2 / (np.pi * row_length)))


def _sigmoid(xp: Any, n: Any) -> Any:
    steepness = SIGMOID_SLOPE * (xp.log2(n) - SIGMOID_CENTER)
    return SIGMOID_HEIGHT / (1 + xp.exp(-steepness)) + SIGMOID_OFFSET


def _closed_form(n: Any, d: int) -> Any:
    return float(np.log10(d)) - (d - 1) * (d + 2) / (2 * d * float(np.log(10)) * (n - 1))
