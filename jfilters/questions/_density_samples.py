"""The sampled kernels of groups on the cube's surface, as many of each: what densities learn from."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ..density import on_surface
from ..scans import Group, Scan, group_layers

ENOUGH_KERNELS = 500
"""Sampled kernels that a group needs at least, unless another number is asked for."""

ALL = "all"
"""The label of the one group of all layers."""


@dataclass(frozen=True)
class Sampled:
    """A group of a scan: its label, its models, and its sampled kernels, zero ones counted apart."""

    label: str
    models: int
    sampled: int
    zero: int


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Groups along an axis with as many kernels each, and those that have too few."""

    by: str | None
    groups: tuple[Sampled, ...]
    left_out: tuple[Sampled, ...]
    kernels: Float[Array, "m n d"]


def surfaces(
    key: Key[Array, ""], scan: Scan, by: str | None = None, kernels: int | None = None
) -> Surfaces:
    """The groups of a scan along an axis, all layers as one group if there is none.

    Each gives `kernels` of its sampled kernels, and those with fewer are left out. If no number is
    given it is that of the smallest group with `ENOUGH_KERNELS`.

    Raises ValueError, with the remedy, for a scan without a sample, an unknown axis, and if no group
    is left.
    """
    groups = _everything(scan) if by is None else group_layers(scan, by).groups
    keys = jax.random.split(key, len(groups))
    found = [_of_group(k, scan, group) for k, group in zip(keys, groups, strict=True)]
    fewest = ENOUGH_KERNELS if kernels is None else kernels
    kept = [(group, rows) for group, rows in found if len(rows) >= fewest]
    if not kept:
        most = max((len(rows) for _, rows in found), default=0)
        raise ValueError(
            f"expected a group with {fewest:,} sampled kernels or more, found at most {most:,}; "
            "ask for fewer with --kernels, or scan again with a larger --sample"
        )
    n = min(len(rows) for _, rows in kept) if kernels is None else kernels
    return Surfaces(
        by,
        tuple(group for group, _ in kept),
        tuple(group for group, rows in found if len(rows) < fewest),
        jax.numpy.asarray(np.stack([rows[:n] for _, rows in kept])),
    )


def _everything(scan: Scan) -> tuple[Group, ...]:
    return (Group(ALL, None, np.arange(scan.layer_table.num_rows, dtype=np.int64)),)


def _of_group(
    key: Key[Array, ""], scan: Scan, group: Group
) -> tuple[Sampled, Float[np.ndarray, "n d"]]:
    """A group, and its kernels in random order."""
    of_noise, of_order = jax.random.split(key)
    sample, layer = _sample(scan)
    mine = sample[np.isin(layer, group.layers)]
    surface = on_surface(of_noise, mine.astype(np.float64))
    rows = np.asarray(jax.random.permutation(of_order, surface.kernels))
    models = len(np.unique(scan.model_of_layer[group.layers]))
    return Sampled(group.name, models, len(mine), surface.n_zero), rows


def _sample(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    if scan.sample is None or scan.sample_layer is None:
        raise ValueError(
            f"{scan.folder}: expected a scan with a sample of its kernels, found none; "
            "scan again with --sample 20000"
        )
    return scan.sample, scan.sample_layer
