"""The sides of a comparison: groups with what their kernels count, and the unit of each of their layers."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from ...scans import Group, Scan
from ...scans.internal import Units, matched_layers
from ...shift.internal import DealtSets, effective_size
from ._question import Question
from ._rows import kernel_counts, layer_weights


@dataclass(frozen=True, eq=False)
class Side:
    """Group under a balance: its kernels, and for each of its layers the weight of a kernel.

    Units are permuted only among those of the same `matched` number.
    """

    group: Group
    model: Int64[np.ndarray, " layers"]
    unit: Int64[np.ndarray, " layers"]
    counts: Float[np.ndarray, " layers"]
    weights: Float[np.ndarray, " layers"]
    matched: Int64[np.ndarray, " layers"]

    @property
    def layers(self) -> Int64[np.ndarray, " layers"]:
        """The rows of its layers in the scan."""
        return self.group.layers

    @functools.cached_property
    def kernels(self) -> int:
        """Number of kernels, whatever their weights."""
        return int(self.counts.sum())

    @functools.cached_property
    def is_plain(self) -> bool:
        """True if all kernels count the same."""
        return bool((self.weights == 1).all())

    @functools.cached_property
    def size(self) -> float:
        """Equally weighted kernels with a mean of the same variance."""
        return effective_size(self.counts, self.weights)

    @property
    def models(self) -> int:
        """Models with a layer in the group."""
        return len(np.unique(self.model))

    @functools.cached_property
    def of_units(self) -> Int64[np.ndarray, " units"]:
        """The numbers of the units with a layer in the group."""
        return np.unique(self.unit)

    @property
    def units(self) -> int:
        """Units with a layer in the group."""
        return len(self.of_units)


def sides_of(scan: Scan, groups: Sequence[Group], question: Question, units: Units) -> list[Side]:
    """Return the groups with the weights of the kernels of their layers under the balance of a question."""
    matched = matched_layers(scan, question.matched)
    counts, model = kernel_counts(scan, question.clean), scan.model_of_layer
    unit = units.of_model[model]
    # One scale for all: some kernels a layer, as in an unweighted sum.
    is_plain = question.balance == "kernels"
    scale = 1.0 if is_plain else counts.sum() / max(np.count_nonzero(counts), 1)
    sides = []
    for group in groups:
        part, owner, of_unit = (x[group.layers] for x in (counts, model, unit))
        weights = scale * layer_weights(part, owner, of_unit, question.balance)
        sides.append(Side(group, owner, of_unit, part, weights, matched[group.layers]))
    return sides


def dealt_sets(first: Side, second: Side) -> DealtSets:
    """Return the sets of kernels of two sides that sampling deals anew, with their weights."""
    if first.is_plain and second.is_plain:  # for thousands of pairs
        sizes = np.array([first.kernels, second.kernels])
        return DealtSets(sizes, np.array([True, False]), np.ones(2))
    sizes, weights = (
        np.concatenate([getattr(side, name) for side in (first, second)])
        for name in ("counts", "weights")
    )
    in_first: Bool[np.ndarray, " layers"] = np.arange(len(sizes)) < len(first.counts)
    return DealtSets.of(sizes, in_first, weights)
