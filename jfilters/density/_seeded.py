"""Densities of NumPy kernels by an integer seed; JAX is imported with the first call.

One seed stands for three streams of random numbers, so that dequantization, fits and tests of one
question do not share any: the same seed gives the same numbers on every call.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ._dequantized import Dequantized
from ._fits import Fits
from ._options import DEFAULTS, FitOptions
from ._records import FOLDS, Divergences, TwoSampleTests

_DEQUANTIZE, _FIT, _TEST = range(3)


def seeded_dequantize(sets: Sequence[Float[np.ndarray, "_ d"]], *, seed: int) -> list[Dequantized]:
    """Dequantize sets of raw kernels and shuffle each, as NumPy arrays.

    Every set has noise and an order of its own, which depend on its index and the number of sets.

    **Arguments:**

    - `sets`: raw kernels, one a row.
    - `seed`: of noise and orders.

    Raises ValueError for weights that are NaN or infinite.
    """
    import jax

    keys = jax.random.split(_stream(seed, _DEQUANTIZE), len(sets))
    return [_shuffled(key, kernels) for key, kernels in zip(keys, sets, strict=True)]


def seeded_fits(
    kernels: Float[np.ndarray, "m n d"], *, seed: int, options: FitOptions = DEFAULTS
) -> Fits:
    """Fit a density to each of m sets of dequantized kernels, as `fit_many` with a key does.

    The last `options.held_out` of the kernels are held out: `kernels` are in the order of such parts.

    **Arguments:**

    - `seed`: of the kernels that stop a fit, the starts and the order of the batches.

    Raises ValueError for fewer than `FEWEST` kernels or 2 taps.
    """
    from ._fit import fit_many

    n = kernels.shape[1]
    held_out = np.arange(n) >= int(n * (1 - options.held_out))
    key = _stream(seed, _FIT)
    return fit_many(key, _device(kernels), options=options, held_out=held_out)


def seeded_divergences(
    kernels: Float[np.ndarray, "m n d"],
    *,
    seed: int,
    folds: int = FOLDS,
    options: FitOptions = DEFAULTS,
) -> Divergences:
    """Estimate KL between every two of m sets of dequantized kernels, as `divergences` does.

    Folds are consecutive kernels, so that whoever orders these says which are never on two sides.

    **Arguments:**

    - `seed`: of the kernels that stop a fit, the starts and the order of the batches.

    Raises ValueError for fewer than 3 folds, and for too few kernels in a fold.
    """
    from ._divergence import divergences

    m, n, _ = kernels.shape
    fold = np.broadcast_to(np.arange(n) // max(n // max(folds, 1), 1), (m, n))
    key = _stream(seed, _FIT)
    return divergences(key, _device(kernels), fold=fold, folds=folds, options=options)


def seeded_tests(kernels: Float[np.ndarray, "m n d"], *, seed: int) -> TwoSampleTests:
    """Test every two of m sets of dequantized kernels by a classifier, as `two_sample_tests` does.

    The last of `FOLDS` consecutive parts of the kernels is judged, the others are trained on.

    **Arguments:**

    - `seed`: of the kernels that are used, the starts and the order of the batches.
    """
    from ._classifier import two_sample_tests

    n = kernels.shape[1]
    judged = np.arange(n) >= n // FOLDS * (FOLDS - 1)
    return two_sample_tests(_stream(seed, _TEST), _device(kernels), judged=judged)


def seeded_scores(
    density: Any, kernels: Float[np.ndarray, "n d"], *, seed: int
) -> Float[np.ndarray, " n"]:
    """Return the log-density of each raw kernel, in nats, as `scores` does; NaN for zero kernels.

    **Arguments:**

    - `density`: a `KernelDensity` of kernels of this size.
    - `seed`: of the noise of dequantization.

    Raises ValueError for weights that are NaN or infinite, and kernels of another size.
    """
    import jax

    from ._score import scores

    return np.asarray(scores(jax.random.key(seed), density, kernels))


def _shuffled(key: Any, kernels: Float[np.ndarray, "_ d"]) -> Dequantized:
    import jax

    from ._dequantize import dequantize

    of_noise, of_order = jax.random.split(key)
    points, n_zero = dequantize(of_noise, kernels.astype(np.float64))
    # On the host: a permutation by JAX is a program for every number of kernels.
    order = np.random.default_rng(np.asarray(jax.random.key_data(of_order))).permutation(
        len(points)
    )
    return Dequantized(np.asarray(points)[order], n_zero)


def _stream(seed: int, index: int) -> Any:
    import jax

    return jax.random.split(jax.random.key(seed), 3)[index]


def _device(kernels: Float[np.ndarray, "m n d"]) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(kernels)
