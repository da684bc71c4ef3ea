"""Simple densities on the cube's surface, which a flow has to beat to earn its place.

NumPy in float64; each is fitted in one pass over the training kernels.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ._chart import faces, log_area, to_charts

BINS = 64
"""Of the factorised histogram, over (-1, 1)."""

_RIDGE = 1e-6  # of a unit variance: kernels on a plane still have a density

Charted = tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n rest"]]


def baselines(
    trained: Float[np.ndarray, "n d"], judged: Float[np.ndarray, "held d"]
) -> dict[str, Float[np.ndarray, " held"]]:
    """The log-densities, in nats, of judged kernels under simple densities of the trained ones.

    Kernels as `on_surface` gives them. `uniform` knows nothing. `gaussian`: the probability of each face
    times a Gaussian in the space of atanh. `histogram`: the same faces times a histogram of each other
    tap by itself.
    """
    d = trained.shape[1]
    before, after = _charted(trained), _charted(judged)
    face = _face_log_prob(before[0], after[0], d)
    return {
        "uniform": np.full(len(judged), -float(log_area(d))),
        **{name: face + of_rest(before[1], after[1]) for name, of_rest in _OF_REST.items()},
    }


def _charted(kernels: Float[np.ndarray, "n d"]) -> Charted:
    face, rest = to_charts(jnp.asarray(kernels))
    return np.asarray(face), np.asarray(rest, np.float64)


def _face_log_prob(
    trained: Int[np.ndarray, " n"], judged: Int[np.ndarray, " held"], d: int
) -> Float[np.ndarray, " held"]:
    count = np.bincount(trained, minlength=faces(d)) + 0.5
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
    place = np.clip(((judged + 1) * (BINS / 2)).astype(int), 0, BINS - 1)
    return np.log(count / count.sum() * (BINS / 2))[place]


_OF_REST: dict[str, Callable] = {"gaussian": _gaussian, "histogram": _histogram}
BASELINES = ("uniform", *_OF_REST)
"""Their names, from the simplest on."""
