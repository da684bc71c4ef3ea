"""The verdict on a pair of checkpoints, from the numbers of its matched layers, with the evidence.

Convolution kernels alone are looked at. The first verdict that fits holds, from the closest relation to
the most distant one.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from ..shift import RELATED_SIGMAS, is_related
from ._comparison import MatchedLayer, Relation, Side

MIN_SHARED = 0.5
"""Share of the smaller network's kernels in matched layers, from which a pair can be related at all."""

SAME_SHAPES = 0.9
"""Share of the kernels of either network in matched layers, from which the architecture is the same."""

RELATED_SHARE = 0.5
"""Share of the matched kernels in layers that are related: heads are often trained anew."""

QUANTIZED_WEIGHTS = 0.9
"""Share of the changed layers' weights in layers on a grid: first and last layers are often left out."""

NEAR = 0.95
"""Share of a layer's weights within half a step of the grid; quantizers clip or compensate the rest."""

MIN_PRUNED = 0.01
"""Share of zeros in one network alone: rounding and dead channels make far fewer."""

ONE_SIDED = 0.1
"""Zeros in the other network alone, for each of those: pruning sets weights to zero on one side."""

EQUAL_REST = 0.01
"""Share of the weights that pruning left and that differ, up to which the rest counts as equal."""

ONE_START = 0.95
"""Mean cosine below which two trainings from one initialization can look the same as fine-tuning."""


DIRECTIONS: tuple[tuple[Literal[0, 1], Literal[0, 1]], ...] = ((1, 0), (0, 1))
"""Which side was made from which: the second from the first, and the other way round."""


@dataclasses.dataclass(frozen=True)
class _Sums:
    """What all matched layers say together; cosines are means over kernels."""

    layers: Sequence[MatchedLayer]
    shared: tuple[float, float]
    weights: int
    changed: int
    zeroed: tuple[int, int]
    cosine: float
    chance: float
    spread: float

    @classmethod
    def of(cls, layers: Sequence[MatchedLayer], first: Side, second: Side) -> "_Sums":
        kernels = sum(layer.n_kernels for layer in layers)
        changes = [layer.difference for layer in layers]
        kin = [layer.kinship for layer in layers if layer.kinship.n > 1]
        n = sum(k.n for k in kin)
        return cls(
            layers=layers,
            shared=(kernels / max(first.n_kernels, 1), kernels / max(second.n_kernels, 1)),
            weights=sum(change.n for change in changes),
            changed=sum(change.changed for change in changes),
            zeroed=(
                sum(change.zeroed_first for change in changes),
                sum(change.zeroed_second for change in changes),
            ),
            cosine=sum(k.n * k.mean for k in kin) / n if n else math.nan,
            chance=sum(k.n * k.chance for k in kin) / n if n else math.nan,
            spread=math.sqrt(sum((k.n * k.spread) ** 2 for k in kin)) / n if n else math.nan,
        )

    @property
    def judged(self) -> list[MatchedLayer]:
        """Layers of so many kernels that a cosine of 1 would be far from chance."""
        return [
            layer
            for layer in self.layers
            if layer.kinship.chance + RELATED_SIGMAS * layer.kinship.spread < 1
        ]

    @property
    def related(self) -> list[MatchedLayer]:
        return [layer for layer in self.judged if is_related(layer.kinship)]

    @property
    def are_related(self) -> bool:
        """Whether the layers that can be judged are related, or, without any, all of them together."""
        judged = sum(layer.n_kernels for layer in self.judged)
        if judged:
            return sum(x.n_kernels for x in self.related) >= RELATED_SHARE * judged
        return self.cosine - self.chance >= RELATED_SIGMAS * self.spread > 0


def relate(layers: Sequence[MatchedLayer], first: Side, second: Side) -> Relation:
    """What two checkpoints are to each other, given their matched layers."""
    sums = _Sums.of(layers, first, second)
    matching = _matching(sums, first, second)
    if not layers or max(sums.shared) < MIN_SHARED:
        return Relation("unrelated", (matching, *_related_few(sums)))
    found = (
        _equal(sums, first, second)
        or _quantized(sums)
        or _pruned(sums)
        or _fine_tuned(sums)
        or _apart(sums)
        or Relation("unrelated", (_cosines(sums),))
    )
    return dataclasses.replace(found, because=(matching, *found.because))


def _equal(sums: _Sums, first: Side, second: Side) -> Relation | None:
    layers = sums.layers
    if not first.n_layers == second.n_layers == len(layers):
        return None
    if any(layer.rounding is None for layer in layers):
        return None
    differences = _storage(layers, first, second)
    if sums.changed == 0 and not differences:
        return Relation("identical", ("every weight is bit-equal, and stored alike",))
    because = [f"stored in another way: {', '.join(differences)}"] if differences else []
    if sums.changed == 0:
        because.append("every weight is bit-equal")
    else:
        types = " and ".join(sorted({layer.rounding for layer in layers if layer.rounding}))
        because.append(
            f"{_share(sums.changed, sums.weights)} of the weights differ, all by no more "
            f"than rounding to {types} makes"
        )
    return Relation("re-saved", tuple(because))


def _storage(layers: Sequence[MatchedLayer], first: Side, second: Side) -> list[str]:
    """In what the storage of two equal networks differs."""
    stored = [tuple(zip(*layer.stored, strict=True)) for layer in layers]
    facts = (
        (f"format {first.format} and {second.format}", first.format != second.format),
        ("axes", any(axes[0] != axes[1] for axes, _ in stored)),
        ("dtype", any(dtypes[0] != dtypes[1] for _, dtypes in stored)),
        ("names", any(layer.first != layer.second for layer in layers)),
        ("order of channels", any(layer.reordered for layer in layers)),
    )
    return [word for word, is_so in facts if is_so]


def _quantized(sums: _Sums) -> Relation | None:
    """Relation where one side lies on a coarser grid, to which the other rounds."""
    changed = [layer for layer in sums.layers if layer.difference.changed]
    total = sum(layer.difference.n for layer in changed)
    for target, source in DIRECTIONS:
        on_grid = [layer for layer in changed if _is_quantized(layer, target, source)]
        if total and sum(x.difference.n for x in on_grid) >= QUANTIZED_WEIGHTS * total:
            return Relation("quantized", (_grid_text(on_grid, target), _cosines(sums)), source)
    return None


def _is_quantized(layer: MatchedLayer, target: int, source: int) -> bool:
    grid, other = layer.grids[target], layer.grids[source]
    return grid is not None and grid.near >= NEAR and (other is None or other.levels > grid.levels)


def _grid_text(layers: Sequence[MatchedLayer], target: int) -> str:
    grids = [grid for layer in layers if (grid := layer.grids[target]) is not None]
    levels, near = max(grid.levels for grid in grids), min(grid.near for grid in grids)
    scope = "of each output channel" if any(grid.per_channel for grid in grids) else "of the layer"
    return (
        f"in {len(layers)} layers the weights are whole multiples of one step {scope}, at most "
        f"{levels} from zero; at least {near:.1%} of the other's weights lie within half a step"
    )


def _pruned(sums: _Sums) -> Relation | None:
    for target, source in DIRECTIONS:
        zeroed, others = sums.zeroed[target], sums.zeroed[source]
        if zeroed < MIN_PRUNED * sums.weights or others > ONE_SIDED * zeroed:
            continue
        kept = sums.weights - zeroed
        altered = sum(layer.difference.altered for layer in sums.layers) + others
        if altered > EQUAL_REST * kept and not sums.are_related:
            continue
        rest = "the rest is equal" if not altered else f"{_share(altered, kept)} of the rest differ"
        text = f"{_share(zeroed, sums.weights)} of the weights are zero in one alone; {rest}"
        return Relation("pruned", (text, _cosines(sums)), source)
    return None


def _fine_tuned(sums: _Sums) -> Relation | None:
    if not sums.are_related:
        return None
    because = [_cosines(sums)]
    if sums.judged:
        because.append(
            f"far above chance in {len(sums.related)} of the {len(sums.judged)} layers "
            "that are large enough to tell"
        )
    if sums.changed == 0:
        because.append("every matched weight is bit-equal")
    elif sums.cosine < ONE_START:
        because.append("two trainings from one initialization can look the same")
    return Relation("fine-tuned", tuple(because))


def _apart(sums: _Sums) -> Relation | None:
    if min(sums.shared) < SAME_SHAPES:
        return None
    return Relation("trained apart", (_cosines(sums), "that is what networks trained apart show"))


def _related_few(sums: _Sums) -> list[str]:
    """That some layers are related though most have no partner."""
    if not sums.related:
        return []
    names = ", ".join(layer.first for layer in sums.related[:3])
    return [f"yet related in {len(sums.related)} matched layers, such as {names}"]


def _matching(sums: _Sums, first: Side, second: Side) -> str:
    n = len(sums.layers)
    if not n:
        return f"no layer of one has the shape of one of the other ({first.n_layers} and {second.n_layers})"
    ways = ("name", "content", "order")
    counts = {how: sum(layer.how == how for layer in sums.layers) for how in ways}
    told = ", ".join(f"{count} by {how}" for how, count in counts.items() if count)
    a, b = sums.shared
    return (
        f"{n} layers matched of {first.n_layers} and {second.n_layers} ({told}), "
        f"{a:.0%} and {b:.0%} of the kernels"
    )


def _cosines(sums: _Sums) -> str:
    if math.isnan(sums.cosine):
        return "no kernels to compare that are not zero"
    chance = f"chance {sums.chance:.3f} ± {sums.spread:.3f}"
    return f"mean cosine of matched kernels {sums.cosine:.3f} ({chance})"


def _share(part: int, whole: int) -> str:
    return f"{part / max(whole, 1):.1%}"
