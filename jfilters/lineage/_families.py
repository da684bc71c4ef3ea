"""Families: the connected sets of networks that are kin, with the chance of any false link among them."""

import dataclasses
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from ._hashes import HASHES, SHARED
from ._kinship import Kinship, kinship
from ._layer_pairs import SMALLEST_COSINE, SMALLEST_Z
from ._networks import Networks

ALARM = 0.01
"""Chance of any false link in a whole collection of strangers."""

FLOOR = 0.03
"""Cosine below which no pair is kin: with 8e5 kernels strangers of one recipe had 0.002 at z 4 to 6."""

SIMILAR = 2
"""Layers that are evidence by themselves, from which networks are partly kin: one alone is none."""

SAME_SUMS = np.array([1e-4, 1e-4, 2e-3])
"""Relative difference of a layer's three sums that rounding to float16 makes at most."""

FEWEST_CHANNELS = 64
"""Output channels in all layers from which equal sums are evidence."""


class Alarm(NamedTuple):
    """Pairs of networks that were tested, the z from which they are kin, and the chance of a false link."""

    pairs: int
    z: float
    chance: float


@dataclasses.dataclass(frozen=True, eq=False)
class Families:
    """Which networks are kin.

    - `labels`: the family of each network, numbered in the order of their first networks.
    - `kin`: pairs that are kin by whatever evidence.
    - `partly`: those whose mean cosine is that of strangers, but which share a few layers or kernels.
    - `permuted`: those with their channels in another order: all layers have equal sums, or weights show
    it.
    - `contained`: the share of the first network's kernels that the second has too.
    - `kinship`, `alarm`: the statistics, and the threshold.
    """

    labels: Int64[np.ndarray, " n"]
    kin: Bool[np.ndarray, "n n"]
    partly: Bool[np.ndarray, "n n"]
    permuted: Bool[np.ndarray, "n n"]
    contained: Float[np.ndarray, "n n"]
    kinship: Kinship
    alarm: Alarm

    def members(self) -> list[list[int]]:
        """Return the networks of each family; single ones are families of one."""
        return [
            np.flatnonzero(self.labels == label).tolist()
            for label in range(self.labels.max(initial=-1) + 1)
        ]

    def with_reordered(self, known: Bool[np.ndarray, "n n"]) -> "Families":
        """Return the families with further pairs, whose weights show kin in another order of channels."""
        close = self.kin & ~self.partly & ~self.permuted
        permuted = self.permuted | (known & ~close)
        kin = self.kin | known
        return dataclasses.replace(
            self, labels=labels_of(kin), kin=kin, partly=self.partly & ~permuted, permuted=permuted
        )


def find_families(networks: Networks, new: int = 0) -> Families:
    """Return the families of networks by their sketches.

    Two networks are kin if their cosine is `FLOOR` and its z that of the alarm or more. A negative cosine
    counts as that of a single layer, for negated kernels. Kin are also networks of which `SIMILAR` layers
    are evidence by themselves, that share `SHARED` hashes of kernels, or all of whose layers have equal
    sums.

    Args:
        networks: the networks.
        new: only pairs with a network from this place on are looked for, which takes less time. The
            families of the networks before it are then not whole; the threshold stays that of all pairs.
    """
    statistics = kinship(networks, new)
    alarm = threshold(len(networks))
    close = (statistics.z >= alarm.z) & (statistics.cosine >= FLOOR)
    close |= (statistics.z <= -SMALLEST_Z) & (statistics.cosine <= -SMALLEST_COSINE)
    shared, contained = _contained(networks)
    permuted = _equal_sums(networks) & ~close
    partly = ((statistics.similar >= SIMILAR) | (shared >= SHARED)) & ~close & ~permuted
    kin = close | partly | permuted
    np.fill_diagonal(kin, False)
    return Families(labels_of(kin), kin, partly, permuted, contained, statistics, alarm)


def threshold(n: int) -> Alarm:
    """Return the alarm for all pairs of n networks.

    >>> round(threshold(162).z, 1), round(threshold(650).z, 1)
    (4.8, 5.3)
    """
    pairs = n * (n - 1) // 2
    return Alarm(pairs, -NormalDist().inv_cdf(ALARM / max(pairs, 1)), ALARM)


def labels_of(kin: Bool[np.ndarray, "n n"]) -> Int64[np.ndarray, " n"]:
    """Return the connected set of each network, numbered in the order of their first members."""
    # Every scan comes here: the import of SciPy's graphs takes 0.4 s.
    labels = np.full(len(kin), -1, np.int64)
    for first in range(len(kin)):
        frontier = np.array([first]) if labels[first] < 0 else np.zeros(0, np.int64)
        count = labels.max(initial=-1) + 1
        while len(frontier):
            labels[frontier] = count
            frontier = np.flatnonzero(kin[frontier].any(axis=0) & (labels < 0))
    return labels


def _contained(networks: Networks) -> tuple[Int64[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
    """Return the hashes that networks share, and the share of each network's kernels that another has.

    Of two networks the hashes up to the largest that the second keeps are compared: of these it keeps all.
    """
    sketches, n = networks.sketches, len(networks)
    owner = networks.owner[sketches.hash_layer]
    values, column = np.unique(sketches.hashes, return_inverse=True)
    if not len(values):
        return np.zeros((n, n), np.int64), np.zeros((n, n))
    shared = _shared(owner, column, n)
    counts = np.bincount(owner, minlength=n)
    last = np.full(n, -1)
    np.maximum.at(last, owner, column)
    last[counts < HASHES] = len(values)  # it keeps all of its hashes
    contained = np.zeros((n, n))
    by_owner = [np.sort(column[owner == i]) for i in range(n)]
    for i, j in zip(*np.nonzero(shared), strict=True):
        comparable = np.searchsorted(by_owner[i], last[j], side="right")
        contained[i, j] = shared[i, j] / max(int(comparable), 1)
    return shared, contained


def _shared(
    owner: Int64[np.ndarray, " m"], column: Int64[np.ndarray, " m"], n: int
) -> Int64[np.ndarray, "n n"]:
    """Return how many values each pair of owners shares; `column` numbers the values."""
    shared = np.zeros((n, n), np.int64)
    order = np.argsort(column, kind="stable")
    counts = np.bincount(column)
    ends = np.cumsum(counts)
    for value in np.flatnonzero(counts > 1):
        owners = owner[order[ends[value] - counts[value] : ends[value]]]
        shared[np.ix_(owners, owners)] += 1
    np.fill_diagonal(shared, 0)
    return shared


def _equal_sums(networks: Networks) -> Bool[np.ndarray, "n n"]:
    n = len(networks)
    equal = np.zeros((n, n), bool)
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for network in range(n):
        shapes = tuple(networks.shapes[i] for i in networks.places(network))
        groups.setdefault(shapes, []).append(network)
    for shapes, members in groups.items():
        if len(members) > 1 and sum(shape[0] for shape in shapes) >= FEWEST_CHANNELS:
            _mark_equal(equal, networks, members)
    return equal


def _mark_equal(equal: Bool[np.ndarray, "n n"], networks: Networks, members: Sequence[int]) -> None:
    sums = np.stack([_sums(networks, network) for network in members])
    # Those of a scan without quality are not known, and zeros say nothing.
    is_defined = (np.isfinite(sums) & (sums > 0)).all(axis=(1, 2))
    members, sums = np.array(members)[is_defined].tolist(), sums[is_defined]
    order = np.argsort(sums[:, 0, 1], kind="stable")
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if sums[j, 0, 1] > sums[i, 0, 1] * (1 + 2 * SAME_SUMS[1]):
                break
            if (np.abs(sums[i] - sums[j]) <= SAME_SUMS * np.abs(sums[i])).all():
                equal[members[i], members[j]] = equal[members[j], members[i]] = True


def _sums(networks: Networks, network: int) -> Float[np.ndarray, "layers 3"]:
    places = networks.places(network)
    return networks.sums[places.start : places.stop]
