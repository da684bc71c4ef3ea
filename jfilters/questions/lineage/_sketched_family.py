"""One family by its sketches alone, where weights cannot be read: equal networks, and how close they
are."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ...lineage import Families, Networks
from ...lineage.internal import SAME_SUMS, Copy
from ...shift.internal import NARROW

EQUAL = 1e-12
"""Relative difference of the sums of equal weights, which the order of additions makes."""

SAME_DIRECTION = 0.999
"""Cosine of sketches from which networks with equal sums are one network, stored in another way."""


class FamilySketches:
    """The members of one family, and what their sketches say about pairs of them."""

    def __init__(self, families: Families, networks: Networks, members: Sequence[int]):
        self._families, self._networks, self._members = families, networks, members
        index = np.ix_(members, members)
        statistics = families.kinship
        layers = np.array([len(networks.places(i)) for i in members])
        self.cosine = np.where(families.permuted[index], 1.0, np.abs(statistics.cosine[index]))
        self.unmatched = layers[:, None] + layers[None] - 2 * statistics.matched[index]

    def __len__(self) -> int:
        return len(self._members)

    def copies(self, dtypes: Sequence[str | None]) -> list[Copy]:
        """Return the pairs that are one network, stored in the same way or in another."""
        n = len(self)
        pairs = ((i, j, self._label(i, j, dtypes)) for i in range(n) for j in range(i + 1, n))
        return [_copy(i, j, label, dtypes) for i, j, label in pairs if label is not None]

    def _label(self, i: int, j: int, dtypes: Sequence[str | None]) -> str | None:
        a, b = self._members[i], self._members[j]
        first, second = (self._sums(x) for x in (a, b))
        if first.shape != second.shape:
            return None
        apart = np.abs(first - second) / np.where(first > 0, first, 1)
        if (apart > SAME_SUMS).any():
            return None
        is_same = self.cosine[i, j] >= SAME_DIRECTION
        equal_bits = is_same and (apart <= EQUAL).all() and dtypes[i] == dtypes[j]
        return "identical" if equal_bits else "re-saved" if is_same else None

    def _sums(self, network: int) -> np.ndarray:
        places = self._networks.places(network)
        return self._networks.sums[places.start : places.stop]


def _copy(i: int, j: int, label: str, dtypes: Sequence[str | None]) -> Copy:
    widths = [_width(dtypes[k]) for k in (i, j)]
    if label == "identical" or widths[0] == widths[1]:
        return Copy(i, j, label)
    cue = "stored in a narrower type"
    return Copy(i, j, label, cue) if widths[0] > widths[1] else Copy(j, i, label, cue)


def _width(dtype: str | None) -> Literal[0, 1]:
    return 0 if dtype in NARROW else 1
