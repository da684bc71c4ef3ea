"""Sampled kernels of groups, dequantized and as many of each, from which densities are learned."""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..density.internal import seeded_dequantize
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
class GroupSamples:
    """Groups along an axis with as many kernels each, and those that have too few."""

    by: str | None
    groups: tuple[Sampled, ...]
    left_out: tuple[Sampled, ...]
    kernels: Float[np.ndarray, "m n d"]


def group_samples(
    scan: Scan, by: str | None = None, kernels: int | None = None, *, seed: int = 0
) -> GroupSamples:
    """Return as many dequantized kernels of each group along an axis; of all layers if there is none.

    Args:
        scan: one that kept a sample.
        by: the axis whose labels make the groups.
        kernels: sampled kernels of each group; groups with fewer are left out. By default the number of the
            smallest group with `ENOUGH_KERNELS`.
        seed: of the noise of dequantization and of the order of the kernels.

    Raises:
        ValueError: with the remedy, for a scan without a sample, an unknown axis, and if no group is left.
    """
    groups = _everything(scan) if by is None else group_layers(scan, by).groups
    sample, layer = _sample(scan)
    sets = [sample[np.isin(layer, group.layers)] for group in groups]
    points = seeded_dequantize(sets, seed=seed)
    sampled = [
        Sampled(group.name, _n_models(scan, group), len(rows), part.n_zero)
        for group, rows, part in zip(groups, sets, points, strict=True)
    ]
    fewest = ENOUGH_KERNELS if kernels is None else kernels
    is_large = [len(part.kernels) >= fewest for part in points]
    if not any(is_large):
        most = max((len(part.kernels) for part in points), default=0)
        raise ValueError(
            f"expected a group with {fewest:,} sampled kernels or more, found at most {most:,}; "
            "ask for fewer with --kernels, or scan again with a larger --sample"
        )
    large = [part.kernels for part, is_in in zip(points, is_large, strict=True) if is_in]
    n = min(map(len, large)) if kernels is None else kernels
    return GroupSamples(
        by,
        tuple(itertools.compress(sampled, is_large)),
        tuple(group for group, is_in in zip(sampled, is_large, strict=True) if not is_in),
        np.stack([rows[:n] for rows in large]),
    )


def _everything(scan: Scan) -> tuple[Group, ...]:
    return (Group(ALL, None, np.arange(scan.layer_table.num_rows, dtype=np.int64)),)


def _n_models(scan: Scan, group: Group) -> int:
    return len(np.unique(scan.model_of_layer[group.layers]))


def _sample(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    if scan.sample is None or scan.sample_layer is None:
        raise ValueError(
            f"{scan.name}: expected a scan with a sample of its kernels, found none; "
            "scan again with --sample 20000"
        )
    sample, layer = scan.even_sample
    assert sample is not None
    assert layer is not None
    return sample, layer
