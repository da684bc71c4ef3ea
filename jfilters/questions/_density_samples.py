"""Sampled kernels of groups, dequantized and as many of each, from which densities are learned.

Kernels of kin are alike: a density that learned from a network knows its fine-tune. The kernels of a group
therefore lie in consecutive parts that share no unit, wherever the group has enough units.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..density.internal import Dequantized, seeded_dequantize
from ..scans import Group, Scan, group_layers
from ..scans.internal import units_of
from ..statistics.internal import RealArray

ENOUGH_KERNELS = 500
"""Sampled kernels that a group needs at least, unless another number is asked for."""

ALL = "all"
"""The label of the one group of all layers."""


@dataclass(frozen=True)
class Sampled:
    """A group of a scan: its label, its models, and its sampled kernels, zero ones counted apart.

    - `units`: the models, each family or run counted once.
    - `by_units`: True where no unit is in two parts of the kernels; else a unit may be in several.
    """

    label: str
    models: int
    sampled: int
    zero: int
    units: int = 1
    by_units: bool = False


@dataclass(frozen=True, eq=False)
class GroupSamples:
    """Groups along an axis with as many kernels each, and those that have too few.

    The kernels of a group are in the order of the parts that were asked for, at random within each.
    """

    by: str | None
    groups: tuple[Sampled, ...]
    left_out: tuple[Sampled, ...]
    kernels: Float[np.ndarray, "m n d"]


def group_samples(
    scan: Scan,
    by: str | None = None,
    kernels: int | None = None,
    *,
    shares: Sequence[float] = (1.0,),
    seed: int = 0,
) -> GroupSamples:
    """Return as many dequantized kernels of each group along an axis; of all layers if there is none.

    Args:
        scan: one that kept a sample.
        by: the axis whose labels make the groups.
        kernels: sampled kernels of each group; groups with fewer are left out. By default the number of the
            smallest group with `ENOUGH_KERNELS`.
        shares: of the kernels, in consecutive parts. A group is cut between units where every part then has
            enough kernels, else between kernels.
        seed: of the noise of dequantization and of the order of the kernels.

    Raises:
        ValueError: with the remedy, for a scan without a sample, an unknown axis, and if no group is left.
    """
    groups = _everything(scan) if by is None else group_layers(scan, by).groups
    fewest = ENOUGH_KERNELS if kernels is None else kernels
    units = units_of(scan).of_model
    sets = _sets(scan, groups, units, shares, fewest)
    points = _dequantized(sets, seed)
    most = [_most([len(part.kernels) for part in parts], shares) for parts in points]
    is_large = [number >= fewest for number in most]
    if not any(is_large):
        raise ValueError(
            f"expected a group with {fewest:,} sampled kernels or more, found at most "
            f"{max(most, default=0):,}; ask for fewer with --kernels, or scan again with a larger "
            "--sample"
        )
    n = min(itertools.compress(most, is_large)) if kernels is None else kernels
    sampled = [
        _sampled(scan, units, *of_group) for of_group in zip(groups, sets, points, strict=True)
    ]
    large = itertools.compress(points, is_large)
    return GroupSamples(
        by,
        tuple(itertools.compress(sampled, is_large)),
        tuple(group for group, is_in in zip(sampled, is_large, strict=True) if not is_in),
        np.stack([_joined([part.kernels for part in parts], n, shares) for parts in large]),
    )


def _sets(
    scan: Scan,
    groups: Sequence[Group],
    units: Int[np.ndarray, " models"],
    shares: Sequence[float],
    fewest: int,
) -> list[list[Float[np.ndarray, "_ d"]]]:
    """Return the raw kernels of each group, in one set or in one for each part."""
    sample, layer = _sample(scan)
    units = units[scan.model_of_layer]
    members = [np.isin(layer, group.layers) for group in groups]
    nonzero = np.any(sample != 0, axis=1)
    counts = [
        np.bincount(units[layer[rows & nonzero]], minlength=units.max(initial=0) + 1)
        for rows in members
    ]
    part_of_unit, is_cut = _cut(np.array(counts), shares, fewest)
    part = part_of_unit[units[layer]]
    return [
        [sample[rows & (part == k)] for k in range(len(shares))] if cut else [sample[rows]]
        for rows, cut in zip(members, is_cut, strict=True)
    ]


def _cut(
    counts: Int[np.ndarray, "groups units"], shares: Sequence[float], fewest: int
) -> tuple[Int[np.ndarray, " units"], list[bool]]:
    """Return the part of every unit, the same in all groups, and the groups that it cuts well enough.

    Large units come first, each into the part that they fill least.
    """
    within = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    full = np.zeros((len(counts), len(shares)))
    part = np.zeros(counts.shape[1], np.int64)
    for unit in np.argsort(-within.max(axis=0, initial=0), kind="stable"):
        after = (full + within[:, unit, None]) / np.asarray(shares)
        part[unit] = np.argmin(within[:, unit] @ after)
        full[:, part[unit]] += within[:, unit]
    sizes = np.stack(
        [counts[:, part == k].sum(axis=1) for k in range(len(shares))], axis=1
    ).tolist()
    return part, [len(shares) > 1 and _most(size, shares) >= max(fewest, 1) for size in sizes]


def _most(sizes: Sequence[int], shares: Sequence[float]) -> int:
    """Return the most kernels that parts of these sizes give in these shares."""
    if len(sizes) == 1:
        return sizes[0]
    n = min(int(size / share) for size, share in zip(sizes, shares, strict=True))
    while n and any(need > size for need, size in zip(_needs(n, shares), sizes, strict=True)):
        n -= 1
    return n


def _needs(n: int, shares: Sequence[float]) -> list[int]:
    """Return the kernels of each part; the last has what rounding leaves over."""
    whole = [int(n * share) for share in shares[:-1]]
    return [*whole, n - sum(whole)]


def _joined(
    parts: Sequence[Float[RealArray, "_ d"]], n: int, shares: Sequence[float]
) -> Float[np.ndarray, "n d"]:
    needs = [n] if len(parts) == 1 else _needs(n, shares)
    return np.concatenate(
        [np.asarray(part[:need]) for part, need in zip(parts, needs, strict=True)]
    )


def _dequantized(sets: list[list[np.ndarray]], seed: int) -> list[list[Dequantized]]:
    points = iter(seeded_dequantize([part for parts in sets for part in parts], seed=seed))
    return [[next(points) for _ in parts] for parts in sets]


def _sampled(
    scan: Scan,
    units: Int[np.ndarray, " models"],
    group: Group,
    sets: list[np.ndarray],
    points: list[Dequantized],
) -> Sampled:
    models = np.unique(scan.model_of_layer[group.layers])
    return Sampled(
        group.name,
        len(models),
        sum(map(len, sets)),
        sum(part.n_zero for part in points),
        len(np.unique(units[models])),
        len(sets) > 1,
    )


def _everything(scan: Scan) -> tuple[Group, ...]:
    return (Group(ALL, None, np.arange(scan.layer_table.num_rows, dtype=np.int64)),)


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
