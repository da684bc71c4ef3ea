"""Pictures of the four phenotypes, made to be told apart."""

import numpy as np

Plane = np.ndarray


def sun(rng: np.random.Generator, n: int) -> Plane:
    """A Gaussian of some spreads and direction, not quite in the center."""
    spreads = rng.uniform(0.4, 1.2, 2)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (rng.standard_normal((n, 2)) * spreads) @ turn + rng.uniform(-0.15, 0.15, 2)


def spikes(rng: np.random.Generator, n: int) -> Plane:
    """A Gaussian of which 40 to 80 % are near copies of three to six kernels."""
    plane = sun(rng, n)
    spots = sun(rng, int(rng.integers(3, 7)))
    copied = rng.random(n) < rng.uniform(0.4, 0.8)
    chosen = rng.integers(len(spots), size=n)
    copies = spots[chosen] + rng.standard_normal((n, 2)) * rng.uniform(0.002, 0.02)
    return np.where(copied[:, None], copies, plane)


def symbols(rng: np.random.Generator, n: int) -> Plane:
    """Two to five clusters around the center, a ring, or one cluster far from it."""
    kind = rng.integers(3)
    if kind == 0:
        k = int(rng.integers(2, 6))
        angles = 2 * np.pi * (rng.integers(k, size=n) + rng.uniform(0.2, 0.4)) / k
        return _around(angles, 1.5) + 0.25 * rng.standard_normal((n, 2))
    if kind == 1:
        return _around(rng.uniform(0, 2 * np.pi, n), 1.5) + 0.2 * rng.standard_normal((n, 2))
    return 0.5 * rng.standard_normal((n, 2)) + _around(rng.uniform(0, 2 * np.pi, 1), 1.2)


def point(rng: np.random.Generator, n: int) -> Plane:
    """A Gaussian of which all but 10 to 35 % lie close to 0."""
    near = rng.random(n) > rng.uniform(0.1, 0.35)
    close = rng.standard_normal((n, 2)) * rng.uniform(0.01, 0.1)
    return np.where(near[:, None], close, sun(rng, n))


def _around(angles: np.ndarray, radius: float) -> Plane:
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


GENERATORS = {"sun": sun, "spikes": spikes, "symbols": symbols, "point": point}
