"""The comparisons of all pairs of several networks: the answer of `compare`."""

from collections.abc import Iterator
from typing import Any

from ..answers import Answer
from ._comparison import Comparison, MatchedLayer, Relation, Side
from ._deployment import Deployment
from ._kinship import Kinship
from ._other_arrays import OtherArrays
from ._pairing import Unmatched


class Comparisons(tuple[Comparison, ...], Answer):
    """Comparisons of all pairs of checkpoints, those with the first one first; a tuple of `Comparison`.

    `rows()` gives one row a pair with its verdict and the reasons; `by_layer()` the same comparisons with
    one row a matched layer. `record()` has both for JSON. Of one pair alone, the attributes of its
    `Comparison` are attributes here too, such as `relation`.
    """

    @property
    def pair(self) -> Comparison:
        """The one comparison. Raises ValueError where there are several."""
        if len(self) != 1:
            raise ValueError(f"expected one pair of networks, got {len(self)}; index them")
        return self[0]

    @property
    def first(self) -> Side:
        """The first network of the one pair."""
        return self.pair.first

    @property
    def second(self) -> Side:
        """The second network of the one pair."""
        return self.pair.second

    @property
    def relation(self) -> Relation:
        """The relationship of the one pair, with its reasons."""
        return self.pair.relation

    @property
    def kinship(self) -> Kinship:
        """The numbers that say whether the one pair is kin."""
        return self.pair.kinship

    @property
    def layers(self) -> tuple[MatchedLayer, ...]:
        """The matched layers of the one pair."""
        return self.pair.layers

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """The layers of the one pair without a partner."""
        return self.pair.unmatched

    @property
    def deployment(self) -> Deployment:
        """Whether one network of the pair is the other: folded, rounded or quantized at most."""
        return self.pair.deployment

    @property
    def other_arrays(self) -> OtherArrays | None:
        """The comparison of the other arrays of the one pair; None where they were not compared."""
        return self.pair.other_arrays

    def record(self) -> list[dict[str, Any]]:
        """Return one record a pair, with its layers."""
        return [pair.record() for pair in self]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a pair."""
        names = ("first", "second", "verdict", "source", "caveat", "reason")
        for pair in self.record():
            yield {name: pair[name] for name in names}

    def by_layer(self) -> "LayerComparisons":
        """Return the same comparisons, with one row a matched layer."""
        return LayerComparisons(self)


class LayerComparisons(Comparisons):
    """The comparisons of all pairs, with one row a matched layer."""

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a matched layer, with the verdict on its pair."""
        for pair in self.record():
            names = {name: pair[name] for name in ("first", "second", "verdict")}
            yield from ({"pair": names, **layer} for layer in pair["layers"])
