"""The numbers of all matched layers of two checkpoints together, from which their relation is judged."""

import dataclasses
import math
from collections.abc import Sequence

from ..shift.internal import is_related
from ._comparison import MatchedLayer, Side
from ._kinship import LEAST_Z, Kinship


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums over all matched layers; cosines are means over kernels, but for that of `kinship`.

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
    parallelism: float
    null_mean: float
    spread: float
    kinship: Kinship

    @classmethod
    def of(
        cls,
        layers: Sequence[MatchedLayer],
        first: Side,
        second: Side,
        kin_z: float = LEAST_Z,
    ) -> "Sums":
        """Return the sums of the matched layers of two sides, which are kin from a z of `kin_z`."""
        kernels = sum(layer.n_kernels for layer in layers)
        changes = [layer.difference for layer in layers]
        # Small values that rounding makes zero are not pruned.
        beyond = [layer.difference for layer in layers if layer.rounding is None]
        compared = [layer for layer in layers if layer.similarity.n > 1]
        similarities = [layer.similarity for layer in compared]
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
            parallelism=sum(x.similarity.n * x.parallelism for x in compared) / n
            if n
            else math.nan,
            null_mean=sum(k.n * k.null_mean for k in similarities) / n if n else math.nan,
            spread=math.sqrt(sum((k.n * k.null_deviation) ** 2 for k in similarities)) / n
            if n
            else math.nan,
            kinship=Kinship.of((layer.kinship for layer in layers), kin_z),
        )

    @property
    def related(self) -> list[MatchedLayer]:
        """Layers whose kernels are closer than the null allows."""
        return [layer for layer in self.layers if is_related(layer.similarity)]

    @property
    def are_related(self) -> bool:
        """Return whether the networks are kin."""
        return self.kinship.are_kin
