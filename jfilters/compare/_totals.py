"""The numbers of all matched layers of two checkpoints together, from which their relation is judged."""

import dataclasses
import math
from collections.abc import Sequence

from ..shift.internal import RELATED_Z, is_related
from ._comparison import MatchedLayer, Side

RELATED_SHARE = 0.5
"""Share of the matched kernels in layers that are related: heads are often trained anew."""


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums over all matched layers; cosines are means over kernels.

    `zeroed` counts the values that are zero in one network alone, and `altered` those that differ and are
    zero in neither, both beyond what rounding explains.
    """

    layers: Sequence[MatchedLayer]
    shared: tuple[float, float]
    weights: int
    changed: int
    zeroed: tuple[int, int]
    altered: int
    cosine: float
    null_mean: float
    spread: float

    @classmethod
    def of(cls, layers: Sequence[MatchedLayer], first: Side, second: Side) -> "Sums":
        """The sums of the matched layers of two sides."""
        kernels = sum(layer.n_kernels for layer in layers)
        changes = [layer.difference for layer in layers]
        # Small values that rounding makes zero are not pruned.
        beyond = [layer.difference for layer in layers if layer.rounding is None]
        similarities = [layer.similarity for layer in layers if layer.similarity.n > 1]
        n = sum(k.n for k in similarities)
        return cls(
            layers=layers,
            shared=(kernels / max(first.n_kernels, 1), kernels / max(second.n_kernels, 1)),
            weights=sum(change.n for change in changes),
            changed=sum(change.changed for change in changes),
            zeroed=(
                sum(change.zeroed_first for change in beyond),
                sum(change.zeroed_second for change in beyond),
            ),
            altered=sum(
                layer.difference.altered for layer in layers if layer.rounding_beside_zeros is None
            ),
            cosine=sum(k.n * k.mean for k in similarities) / n if n else math.nan,
            null_mean=sum(k.n * k.null_mean for k in similarities) / n if n else math.nan,
            spread=math.sqrt(sum((k.n * k.null_deviation) ** 2 for k in similarities)) / n
            if n
            else math.nan,
        )

    @property
    def judged(self) -> list[MatchedLayer]:
        """Layers of so many kernels that a cosine of 1 would be far above the null."""
        return [
            layer
            for layer in self.layers
            if layer.similarity.null_mean + RELATED_Z * layer.similarity.null_deviation < 1
        ]

    @property
    def related(self) -> list[MatchedLayer]:
        """Judged layers whose kernels are closer than the null allows."""
        return [layer for layer in self.judged if is_related(layer.similarity)]

    @property
    def are_related(self) -> bool:
        """Return whether the layers that can be judged are related; without any, all of them together."""
        judged = sum(layer.n_kernels for layer in self.judged)
        if judged:
            return sum(x.n_kernels for x in self.related) >= RELATED_SHARE * judged
        return self.cosine - self.null_mean >= RELATED_Z * self.spread > 0
