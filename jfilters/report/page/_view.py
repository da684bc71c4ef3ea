"""The part of a scan that the page shows: models one by one, axes, and the drift along them."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from ...questions import AxisTable, DriftTable, axes_table, drift_between
from ...questions.internal import ALPHA, FOLLOWS
from ...scans import Groups, Scan, axes_of, group_layers
from ...statistics import VERDICTS

MOST_GROUPS = 60
"""Groups of an axis, and models, that are shown one by one: those with the most kernels."""

MOST_LAYERS = 6_000
"""Layers that are shown one by one: those with the most worrying verdicts."""

MOST_AXES = 16
"""Axes that are compared, unless they are named."""

PERMUTATIONS = 400
"""Of units, for axes of few pairs."""

PERMUTATIONS_IF_NAMED = 2_000
"""The same for named axes."""

REPLICATES = 50
"""Draws of the sampling null of a pair."""


def worst_first(scan: Scan) -> np.ndarray:
    """Return the places of layers, the most worrying verdicts first, and of these the most kernels."""
    verdicts = [*VERDICTS[:-2], *reversed(VERDICTS[-2:])]  # too few kernels are no cause for worry
    place = {verdict: i for i, verdict in enumerate(verdicts)}
    places = [place.get(verdict, len(place)) for verdict in scan.layer_table["verdict"].to_pylist()]
    return np.lexsort((-scan.layer_table["n_kernels"].to_numpy(), places))


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A scan and what the page shows of it.

    `by` are the named axes; all useful ones if there are none.
    """

    scan: Scan
    by: tuple[str, ...] = ()

    @property
    def has_quality(self) -> bool:
        """True if the scan measured more than histograms."""
        return self.scan.record["config"].get("quality", True)

    @functools.cached_property
    def shown(self) -> Scan:
        """The scan with the layers alone that are shown one by one.

        Those of the models with the most kernels and of the model with the most worrying layer. Of more
        than `MOST_LAYERS`, the most worrying ones.
        """
        scan = self.scan
        worst = worst_first(scan)
        models = np.bincount(scan.model_of_layer, scan.layer_table["n_kernels"].to_numpy())
        models[scan.model_of_layer[worst[:1]]] = np.inf
        largest = np.argsort(-models, kind="stable")[:MOST_GROUPS]
        worst = worst[np.isin(scan.model_of_layer[worst], largest)][:MOST_LAYERS]
        mask = np.isin(np.arange(scan.layer_table.num_rows), worst)
        return scan if mask.all() else scan.only(mask)

    @functools.cached_property
    def axes(self) -> tuple[str, ...]:
        """The axes along which there are groups to compare, those named first."""
        if self.by:
            return tuple(dict.fromkeys(self.by))
        return tuple(name for name in self._candidates if name not in self.same_groups)[:MOST_AXES]

    @functools.cached_property
    def same_groups(self) -> dict[str, str]:
        """Axes with the same groups as an earlier one, and that one; empty if axes were named."""
        firsts: dict[frozenset[bytes], str] = {}
        twins = {}
        for name in self._candidates:
            partition = frozenset(x.layers.tobytes() for x in self.groups(name).groups)
            first = firsts.setdefault(partition, name)
            if first != name:
                twins[name] = first
        return {} if self.by else twins

    @property
    def left_out(self) -> tuple[str, ...]:
        """Axes beyond `MOST_AXES`."""
        if self.by:
            return ()
        return tuple(x for x in self._candidates if x not in self.same_groups)[MOST_AXES:]

    @functools.cached_property
    def _candidates(self) -> Sequence[str]:
        return axes_of(self.scan)

    @property
    def permutations(self) -> int:
        """Permutations of units, for axes of so few pairs that p can be small enough."""
        return PERMUTATIONS_IF_NAMED if self.by else PERMUTATIONS

    def drift(self, axis: str) -> DriftTable:
        """The drift between the shown groups of an axis; raises ValueError for fewer than two."""
        if axis not in self._drifts:
            groups = self.shown_groups(axis)
            count = len(groups.groups)
            pairs = count * (count - 1) // 2
            can_tell = pairs <= ALPHA * (1 + self.permutations)
            permutations = self.permutations if can_tell else 0
            self._drifts[axis] = drift_between(
                self.along(axis), groups, permutations=permutations, replicates=REPLICATES
            )
        return self._drifts[axis]

    @functools.cached_property
    def compared(self) -> tuple[str, ...]:
        """The axes with two groups or more, and all named ones."""
        enough = (self.by or len(self.groups(axis).groups) > 1 for axis in self.axes)
        return tuple(axis for axis, is_enough in zip(self.axes, enough, strict=True) if is_enough)

    @functools.cached_property
    def ranking(self) -> AxisTable:
        """The axes by how much they shift kernels.

        Those of more than `MOST_GROUPS` groups, and those that `axes_table` leaves out, are not among them.
        """
        few = [x for x in self.compared if len(self.groups(x).groups) <= MOST_GROUPS]
        axes = [x for x in few if self.by or x not in FOLLOWS]
        return axes_table(self.scan, axes, permutations=self.permutations)

    @functools.cached_property
    def _drifts(self) -> dict[str, DriftTable]:
        return {}

    def groups(self, axis: str) -> Groups:
        """Return the groups of the whole scan along an axis; a page asks for them many times."""
        if axis not in self._groups:
            self._groups[axis] = group_layers(self.scan, axis)
        return self._groups[axis]

    @functools.cached_property
    def _groups(self) -> dict[str, Groups]:
        return {}

    def shown_groups(self, axis: str) -> Groups:
        """Return the groups of `along`: all, or the largest ones."""
        scan = self.along(axis)
        return self.groups(axis) if scan is self.scan else group_layers(scan, axis)

    def along(self, axis: str) -> Scan:
        """Return the scan with the largest groups of an axis alone, `MOST_GROUPS` of them."""
        if axis not in self._scans:
            self._scans[axis] = self._along(axis)
        return self._scans[axis]

    @functools.cached_property
    def _scans(self) -> dict[str, Scan]:
        return {}

    def _along(self, axis: str) -> Scan:
        groups = self.groups(axis).groups
        if len(groups) <= MOST_GROUPS:
            return self.scan
        counts = np.array(self.scan.layer_table["n_kernels"].to_pylist())
        sizes = [-counts[group.layers].sum() for group in groups]
        mask = np.zeros(self.scan.layer_table.num_rows, bool)
        for place in np.argsort(sizes, kind="stable")[:MOST_GROUPS]:
            mask[groups[place].layers] = True
        return self.scan.only(mask)
