"""Simple densities on the cube's surface, which a flow has to beat to earn its place.

NumPy in float64; each is fitted in one pass over the training kernels. Only the chart is JAX code, which is
imported with the first call.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from .._traced import on_host

BINS = 64
"""Of the factorised histogram, over (-1, 1)."""

_RIDGE = 1e-6  # of a unit variance: kernels on a plane still have a density

Charted = tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n rest"]]


@on_host("score outside of the program; inside use jax.vmap(density.log_prob)")
def baselines(
    trained: Float[np.ndarray, "n d"], judged: Float[np.ndarray, "held d"]
) -> dict[str, Float[np.ndarray, " held"]]:
    """Return the log-densities, in nats, of judged kernels under simple densities of trained ones.

    A dict with the names of `BASELINES`. `uniform` is the same for all kernels. `gaussian` is the
    probability of each face times a Gaussian in the space of atanh. `histogram` is the same faces
    times a histogram of each other tap by itself.

    **Arguments:**

    - `trained`: the kernels that are fitted to, as `dequantize` gives them.
    - `judged`: the kernels that are scored.
    """
    from ._chart import faces, log_area

    d = trained.shape[1]
    before, after = _charted(trained), _charted(judged)
    face = _face_log_prob(before[0], after[0], faces(d))
    return {
        "uniform": np.full(len(judged), -float(log_area(d))),
        **{name: face + of_rest(before[1], after[1]) for name, of_rest in _OF_REST.items()},
    }


def _charted(kernels: Float[np.ndarray, "n d"]) -> Charted:
    import jax.numpy as jnp

    from ._chart import to_charts

    face, taps = to_charts(jnp.asarray(kernels))
    return np.asarray(face), np.asarray(taps, np.float64)


def _face_log_prob(
    trained: Int[np.ndarray, " n"], judged: Int[np.ndarray, " held"], n_faces: int
) -> Float[np.ndarray, " held"]:
    count = np.bincount(trained, minlength=n_faces) + 0.5
    return np.log(count / count.sum())[judged]


def _gaussian(
    trained: Float[np.ndarray, "n rest"], judged: Float[np.ndarray, "held rest"]
) -> Float[np.ndarray, " held"]:
    free = np.arctanh(trained)
    covariance = np.atleast_2d(np.cov(free.T)) + _RIDGE * np.eye(free.shape[1])
    away = np.arctanh(judged) - free.mean(axis=0)
    squares = np.sum(away * np.linalg.solve(covariance, away.T).T, axis=1)
    volume = free.shape[1] * np.log(2 * np.pi) + np.linalg.slogdet(covariance).logabsdet
    return -(squares + volume) / 2 - np.log1p(-(judged**2)).sum(axis=1)


def _histogram(
    trained: Float[np.ndarray, "n rest"], judged: Float[np.ndarray, "held rest"]
) -> Float[np.ndarray, " held"]:
    columns = zip(trained.T, judged.T, strict=True)
    return np.sum([_histogram_of_tap(before, after) for before, after in columns], axis=0)


def _histogram_of_tap(
    trained: Float[np.ndarray, " n"], judged: Float[np.ndarray, " held"]
) -> Float[np.ndarray, " held"]:
    count = np.histogram(trained, BINS, (-1, 1))[0] + 0.5
    bins = np.clip(((judged + 1) * (BINS / 2)).astype(int), 0, BINS - 1)
    return np.log(count / count.sum() * (BINS / 2))[bins]


_OF_REST: dict[str, Callable] = {"gaussian": _gaussian, "histogram": _histogram}
BASELINES = ("uniform", *_OF_REST)
"""Names of the baselines, from the simplest on."""
