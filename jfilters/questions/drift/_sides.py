"""The sides of a comparison: groups with what their kernels count, and the units of their permutations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, Num

from ...scans import Group, Scan
from ...scans.internal import matched_layers
from ...shift import PopulationNull, population_null
from ...shift.internal import Statistic
from ._question import Balance, Question
from ._units import Units, effective_size, kernel_counts, layer_weights, permuted_units


@dataclass(frozen=True, eq=False)
class Side:
    """Group under a balance: its kernels, and for each of its layers the weight of a kernel.

    Models are permuted only among those of the same `matched` number.
    """

    group: Group
    model: Int64[np.ndarray, " layers"]
    counts: Float[np.ndarray, " layers"]
    weights: Float[np.ndarray, " layers"]
    matched: Int64[np.ndarray, " layers"]

    @property
    def kernels(self) -> int:
        """Number of kernels, whatever their weights."""
        return int(self.counts.sum())

    @property
    def size(self) -> float:
        """Equally weighted kernels with the same sampling error."""
        return effective_size(self.counts, self.weights)

    @property
    def models(self) -> int:
        """Models with a layer in the group."""
        return len(np.unique(self.model))


def sides_of(scan: Scan, groups: Sequence[Group], question: Question) -> list[Side]:
    """Return the groups with the weights of the kernels of their layers under the balance of a question."""
    matched = matched_layers(scan, question.matched)
    counts, model = kernel_counts(scan, question.clean), scan.model_of_layer
    balance = question.balance
    # One scale for all: some kernels a layer, as in an unweighted sum.
    scale = 1.0 if balance == "kernels" else counts.sum() / max(np.count_nonzero(counts), 1)
    sides = []
    for group in groups:
        part, owner = counts[group.layers], model[group.layers]
        weights = scale * layer_weights(part, owner, balance)
        sides.append(Side(group, owner, part, weights, matched[group.layers]))
    return sides


def permuted_null(
    rng: np.random.Generator,
    rows: Num[np.ndarray, "layers features"],
    first: Side,
    second: Side,
    statistic: Statistic,
    balance: Balance,
    permutations: int,
) -> PopulationNull:
    """Return the population null of two sides, from the weighted rows of the first side's layers and
    then of the second's."""
    units = units_of(rows, [first, second], balance)
    in_first = units.side == 0
    return population_null(
        rng, units.rows, in_first, statistic, strata=units.strata, permutations=permutations
    )


def units_of(
    rows: Num[np.ndarray, "layers features"], sides: Sequence[Side], balance: Balance
) -> Units:
    """Return the units that are permuted among some sides, from the weighted rows of their layers, side
    after side."""
    model = np.concatenate([side.model for side in sides])
    matched = np.concatenate([side.matched for side in sides])
    place = np.repeat(np.arange(len(sides)), [len(side.model) for side in sides])
    return permuted_units(rows, model, place, matched, balance)
