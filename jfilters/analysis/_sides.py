"""The sides of a comparison: groups with what their kernels count, and what of them is dealt anew."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from ..shift import PopulationNull, Statistic, population_null
from ._evidence import Balance, dealt_units, effective_size, kernel_counts, layer_weights
from ._groups import Group
from ._saved import SavedScan


@dataclass(frozen=True, eq=False)
class Side:
    """A group under a balance: its kernels, and for each of its layers what a kernel counts."""

    group: Group
    model: Int64[np.ndarray, " layers"]
    counts: Float[np.ndarray, " layers"]
    weights: Float[np.ndarray, " layers"]

    @property
    def kernels(self) -> int:
        """All of them, whatever they count."""
        return int(self.counts.sum())

    @property
    def size(self) -> float:
        """Equally weighted kernels that tell as much."""
        return effective_size(self.counts, self.weights)

    @property
    def models(self) -> int:
        """Models with a layer in the group."""
        return len(np.unique(self.model))


def sides_of(
    scan: SavedScan, groups: tuple[Group, ...], clean: bool, balance: Balance
) -> list[Side]:
    """The groups with what the kernels of their layers count."""
    counts, model = kernel_counts(scan, clean), scan.model_of_layer
    # One scale for all: some kernels a layer, as in an unweighted sum.
    scale = 1.0 if balance == "kernels" else counts.sum() / max(np.count_nonzero(counts), 1)
    sides = []
    for group in groups:
        part, owner = counts[group.layers], model[group.layers]
        sides.append(Side(group, owner, part, scale * layer_weights(part, owner, balance)))
    return sides


def dealt_again(
    rng: np.random.Generator,
    rows: Float[np.ndarray, "layers features"],
    first: Side,
    second: Side,
    statistic: Statistic,
    balance: Balance,
    permutations: int,
) -> PopulationNull:
    """The population null of two sides, from the weighted rows of their layers, the first side's first."""
    model = np.concatenate([first.model, second.model])
    in_first: Bool[np.ndarray, " layers"] = np.arange(len(model)) < len(first.model)
    units = dealt_units(rows, model, in_first, balance)
    return population_null(
        rng, units.rows, units.in_first, statistic, strata=units.strata, permutations=permutations
    )
