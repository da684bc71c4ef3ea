"""Fractals: each class is one random iterated function system, each image the same system a little bent.

Source: Kataoka et al., Pre-training without Natural Images, ACCV 2020, arXiv:2101.08515 (FractalDB).
"""

import functools

import numpy as np

from ._shape import CLASSES, SIDE, balanced

MAPS = (2, 5)  # affine maps of a system, from and below
BEND = 0.1  # relative change of every parameter of an image's own system
CHAINS, WARMUP, POINTS = 64, 20, 60  # points that are followed, steps before and while drawing
FILLED = (0.12, 0.5)  # share of pixels that the fractal of a class may cover
SEED = 5  # of the systems, which are the classes: the same for everyone


def draw(count: int, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Fractals and which of the systems they are of."""
    classes = balanced(count, rng)
    images = np.empty((count, SIDE, SIDE))
    for fractal, system in enumerate(systems()):
        of_class = np.flatnonzero(classes == fractal)
        images[of_class] = _rendered(_bent(system, len(of_class), rng), rng)
    return images, classes


@functools.cache
def systems() -> tuple[np.ndarray, ...]:
    """The systems of the classes, (maps, 2, 3) each: the first ones that fill enough of an image."""
    rng, accepted = np.random.default_rng(SEED), []
    while len(accepted) < CLASSES:
        system = _random_system(rng)
        covered = np.mean(_rendered(system[None], rng) > 0)
        if FILLED[0] < covered < FILLED[1]:
            accepted.append(system)
    return tuple(accepted)


def _random_system(rng: np.random.Generator) -> np.ndarray:
    """Affine maps that contract: turned, of two scales, one of them perhaps mirrored."""
    count = rng.integers(*MAPS)
    turns, mirrors = rng.uniform(0, 2 * np.pi, (2, count)), rng.choice((-1, 1), count)
    scales = rng.uniform(0.3, 0.8, (2, count))
    first, second = _rotations(turns[0]), _rotations(turns[1])
    scaled = first * np.stack([scales[0], scales[1] * mirrors], 1)[:, None]
    return np.concatenate([scaled @ second, rng.uniform(-1, 1, (count, 2, 1))], 2)


def _rotations(angles: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _bent(system: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return system * rng.uniform(1 - BEND, 1 + BEND, (count, *system.shape))


def _rendered(systems: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images (n, side, side) of systems (n, maps, 2, 3), by the chaos game."""
    points = _orbits(systems, rng)
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    extent = np.maximum((high - low).max(2, keepdims=True), 1e-9)
    pixels = ((points - (low + high) / 2) / extent * (SIDE - 3) + SIDE / 2).astype(int)
    places = (np.arange(len(systems))[:, None] * SIDE + pixels[..., 1]) * SIDE + pixels[..., 0]
    counts = np.bincount(places.ravel(), minlength=len(systems) * SIDE**2)
    # Half as bright as can be at one visit: a fractal is where it was visited, not how often.
    return np.minimum(counts.reshape(-1, SIDE, SIDE), 4) ** 0.5 / 2


def _orbits(systems: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points (n, points, 2) on the fractals: maps are taken as often as the area they keep."""
    rows = np.arange(len(systems))[:, None]
    area = np.abs(np.linalg.det(systems[..., :2])) + 0.01
    shares = np.cumsum(area, 1) / area.sum(1, keepdims=True)
    at, visited = np.zeros((len(systems), CHAINS, 2)), []
    for step in range(WARMUP + POINTS):
        chosen = (rng.random((len(systems), CHAINS, 1)) > shares[:, None, :-1]).sum(2)
        maps = systems[rows, chosen]
        at = np.einsum("ncij,ncj->nci", maps[..., :2], at) + maps[..., 2]
        if step >= WARMUP:
            visited.append(at)
    return np.concatenate(visited, 1)
