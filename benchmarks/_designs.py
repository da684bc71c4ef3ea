"""Made populations of units, of which it is known whether two groups of them differ.

A unit's coefficients follow a two-scale Gaussian along each component. Its location and log-scale are
shifted by `scatter` times a standard normal: 0.1 makes a drift of about 0.06 nats between two units, as
real networks show, and 0.03 one of 0.005. `effect` moves the first group by that many times a fixed
direction.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

RATIO = np.array([0.39815, 0.18326, 0.11704, 0.09853, 0.06576, 0.05522, 0.03008, 0.02823, 0.02374])
"""Shares of variance. Source: arXiv:2203.15331."""
D, BINS = len(RATIO), 70
EDGES = np.linspace(-3.3, 3.3, BINS + 1)
_SIGMA = np.sqrt(3 * RATIO)
_DIRECTION = np.random.default_rng(5).standard_normal((2, D))

Generator = np.random.Generator


class Layers(NamedTuple):
    """Histograms of layers, with the unit and the group of each."""

    counts: np.ndarray
    unit: np.ndarray
    group: np.ndarray


Design = Callable[[Generator], Layers]


def whole(
    rng: Generator,
    first: np.ndarray,
    second: np.ndarray,
    scatter: float,
    effect: float = 0.0,
    members: np.ndarray | None = None,
    inside: float = 0.0,
) -> Layers:
    """Units of these numbers of kernels, each in one group, of `members` models with scatter `inside`."""
    n = np.concatenate([first, second]).astype(int)
    members = np.ones(len(n), int) if members is None else members
    unit = np.repeat(np.arange(len(n)), members)
    group = (np.arange(len(n)) >= len(first)).astype(int)[unit]
    shift = scatter * rng.standard_normal((len(n), 2, D))[unit]
    shift += inside * rng.standard_normal(shift.shape)
    shift += effect * (group == 0)[:, None, None] * _DIRECTION
    return Layers(_histograms(rng, n[unit] // members[unit], shift), unit, group)


def layered(
    rng: Generator,
    models: int,
    layers: int,
    scatter: float,
    of_layers: float,
    *,
    tenths: int = 0,
    alike: float = 0.0,
    family: int = 1,
    effect: float = 0.0,
) -> Layers:
    """Models of layers that grow with depth: the first against all later ones, or tenths of the depth.

    `alike` correlates neighbors. Models of one family share their layers but for a fifth. `tenths` of 2
    compares the first with the last, of 10 all of them.
    """
    sizes = np.round(np.geomspace(1024, 65536, layers)).astype(int)
    group, used = _depth_groups(layers, tenths)
    counts = []
    for _ in range(models // family):
        own = scatter * rng.standard_normal((2, D))
        steps = _walk(rng, layers, alike)
        for _ in range(family):
            extra = 0.2 * rng.standard_normal(steps.shape) if family > 1 else 0
            shift = own + of_layers * (steps + extra)
            shift += effect * (group == 0)[:, None, None] * _DIRECTION
            kernels = sizes.copy()
            if not tenths:
                kernels[0] = rng.integers(96, 193)
            counts.append(_histograms(rng, kernels, shift)[used])
    unit = np.repeat(np.arange(models) // family, used.sum())
    return Layers(np.concatenate(counts), unit, np.tile(group[used], models))


def families(rng: Generator, *, by_size: bool) -> Layers:
    """27 families of 12, 6, 5, ... models: labels by chance, or the large families first."""
    members = np.array([12, 6, 5, 5, 5, 4, 3, 3, 2] + [1] * 18)
    n = members * 10 ** rng.uniform(3, 5, len(members))
    place = np.arange(len(members)) if by_size else rng.permutation(len(members))
    return whole(rng, n[place][:12], n[place][12:], 0.1, members=members[place], inside=0.02)


def mixed(rng: Generator, varying: int, constant: int) -> Layers:
    """Units that lie in both groups beside units that lie in one."""
    counts, unit, group = whole(rng, np.full(constant, 2000), np.full(constant, 600), 0.1)
    own = np.repeat(0.1 * rng.standard_normal((varying, 2, D)), 2, 0)
    sizes = np.tile([300, 5000], varying)
    both = _histograms(rng, sizes, own + 0.03 * rng.standard_normal(own.shape))
    more = 2 * constant + np.repeat(np.arange(varying), 2)
    groups = np.concatenate([group, np.tile([0, 1], varying)])
    return Layers(np.concatenate([counts, both]), np.concatenate([unit, more]), groups)


def several(rng: Generator, sizes: list[list[int]], scatter: float, effect: float = 0.0) -> Layers:
    """Several groups of units of these sizes; the first may differ."""
    n = np.concatenate(sizes)
    group = np.repeat(np.arange(len(sizes)), [len(of_group) for of_group in sizes])
    shift = scatter * rng.standard_normal((len(n), 2, D))
    shift += effect * (group == 0)[:, None, None] * _DIRECTION
    return Layers(_histograms(rng, n, shift), np.arange(len(n)), group)


def log_uniform(rng: Generator, count: int) -> np.ndarray:
    """Numbers of kernels over three decades, rising."""
    return np.sort(10 ** rng.uniform(2, 5, count))


def full(n: int, count: int) -> np.ndarray:
    """The same number of kernels for every unit."""
    return np.full(count, n)


def _histograms(rng: Generator, n: np.ndarray, shift: np.ndarray) -> np.ndarray:
    location, scale = shift[..., 0, :] * _SIGMA, _SIGMA * np.exp(shift[..., 1, :])
    z = (EDGES - location[..., None]) / scale[..., None]
    cumulative = 0.85 * ndtr(z) + 0.15 * ndtr(z / 1.7)
    cumulative[..., 0], cumulative[..., -1] = 0, 1
    return rng.multinomial(np.asarray(n, int)[..., None], np.diff(cumulative, axis=-1))


def _depth_groups(layers: int, tenths: int) -> tuple[np.ndarray, np.ndarray]:
    if not tenths:
        return (np.arange(layers) > 0).astype(int), np.ones(layers, bool)
    tenth = np.clip(np.ceil(np.arange(layers) / (layers - 1) * 10), 1, 10).astype(int) - 1
    if tenths == 2:
        return (tenth == 9).astype(int), (tenth == 0) | (tenth == 9)
    return tenth, np.ones(layers, bool)


def _walk(rng: Generator, layers: int, alike: float) -> np.ndarray:
    steps = rng.standard_normal((layers, 2, D))
    for i in range(1, layers):
        steps[i] = alike * steps[i - 1] + np.sqrt(1 - alike**2) * steps[i]
    return steps
