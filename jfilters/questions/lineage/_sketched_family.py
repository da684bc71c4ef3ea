"""One family by its sketches alone, where weights cannot be read: equal networks, and how close they
are."""

from collections.abc import Sequence

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
        pairs = ((i, j) for i in range(n) for j in range(i + 1, n))
        copies = (self._copy(i, j, dtypes) for i, j in pairs)
        return [copy for copy in copies if copy is not None]

    def _copy(self, i: int, j: int, dtypes: Sequence[str | None]) -> Copy | None:
        first, second = (self._sums(self._members[k]) for k in (i, j))
        if first.shape != second.shape or self.cosine[i, j] < SAME_DIRECTION:
            return None
        apart = np.abs(first - second) / np.where(first > 0, first, 1)
        if (apart > SAME_SUMS).any():
            return None
        a, b = dtypes[i], dtypes[j]
        is_equal = bool((apart <= EQUAL).all())
        if is_equal or (a in NARROW) == (b in NARROW):
            return Copy(i, j, "identical" if is_equal and a == b else "re-saved")
        cue = "values were lost in the narrower type"
        return Copy(i, j, "re-saved", cue) if b in NARROW else Copy(j, i, "re-saved", cue)

    def _sums(self, network: int) -> np.ndarray:
        places = self._networks.places(network)
        return self._networks.sums[places.start : places.stop]
