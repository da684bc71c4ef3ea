"""The verdict on a pair of checkpoints, from the numbers of its matched layers, with the evidence.

Convolution kernels alone are looked at. The first verdict that fits holds, from the closest relation to
the most distant one.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Literal

from ..shift.internal import ARITHMETIC
from ._comparison import MatchedLayer, Relation, Relationship, Side, Storage
from ._kinship import kinship_reasons
from ._totals import Sums

MIN_SHARED = 0.5
"""Share of the smaller network's kernels in matched layers, from which a pair can be related at all."""

SAME_SHAPES = 0.9
"""Share of the kernels of either network in matched layers, from which the architecture is the same."""

QUANTIZED_WEIGHTS = 0.9
"""Share of the changed layers' weights in layers on a grid: first and last layers are often left out."""

NEAR = 0.95
"""Share of a layer's weights within half a step of the grid; quantizers clip or compensate the rest."""

ROUNDED, FEW_LEVELS = 0.18, 7
"""Mean distance from the grid in steps from which values were rounded to it, which makes 0.25; values that
were trained onward from it are nearer. On fewer levels than the second most values round to zero, from
near it."""

MIN_PRUNED = 0.01
"""Share of zeros in one network alone: rounding and dead channels make far fewer."""

ONE_SIDED = 0.1
"""Zeros in the other network alone, for each of those: pruning sets weights to zero on one side."""

EQUAL_REST = 0.01
"""Share of the weights that pruning left and that differ, up to which the rest counts as equal."""

RESCALED = 0.05
"""Share of the squared difference that numbers for each kernel leave; of 9 taps training leaves 8/9."""

PARALLEL = 1 - 1e-4
"""Mean absolute cosine from which all kernels are parallel (METHOD, Lineage)."""

ONE_START = 0.95
"""Mean cosine below which two trainings from one initialization can look the same as fine-tuning."""


DIRECTIONS: tuple[tuple[Literal[0, 1], Literal[0, 1]], ...] = ((1, 0), (0, 1))
"""Which side was made from which: the second from the first, and the other way round."""


def relate(sums: Sums, first: Side, second: Side) -> Relation:
    """Return the relationship of two checkpoints, given the sums of their matched layers."""
    scope = (_matching(sums, first, second), *_unread(first, second))
    if not sums.layers:
        return Relation("unrelated", scope)
    if max(sums.shared) < MIN_SHARED:
        relation = _kin_in_few(sums) or Relation("unrelated", tuple(_kinship(sums)))
        return dataclasses.replace(relation, reasons=(*scope, *relation.reasons))
    relation = (
        _equal(sums, first, second)
        or _quantized(sums)
        or _pruned(sums)
        or _rescaled(sums)
        or _fine_tuned(sums)
        or _partly_kin(sums)
        or _apart(sums)
        or Relation("unrelated", (_cosines(sums), *_kinship(sums)))
    )
    return dataclasses.replace(relation, reasons=(*scope, *relation.reasons))


def _equal(sums: Sums, first: Side, second: Side) -> Relation | None:
    layers = sums.layers
    if not first.n_layers == second.n_layers == len(layers):
        return None
    if any(layer.rounding is None for layer in layers):
        return None
    differences = _storage(layers, first, second)
    if sums.changed == 0 and not differences:
        return Relation("identical", ("every weight is bit-equal, and stored alike",))
    reasons = [f"stored in another way: {', '.join(differences)}"] if differences else []
    if sums.changed == 0:
        reasons.append("every weight is bit-equal")
    else:
        reasons.append(
            f"{_share(sums.changed, sums.weights)} of the weights differ, all by no more "
            f"than {_rounding({layer.rounding for layer in layers})} makes"
        )
    return Relation("re-saved", tuple(reasons))


def _storage(layers: Sequence[MatchedLayer], first: Side, second: Side) -> list[str]:
    """In what the storage of two equal networks differs."""
    axes, dtypes, applied = _stored(layers)
    facts = (
        (f"format {first.format} and {second.format}", first.format != second.format),
        ("axes", any(a != b for a, b in axes)),
        ("dtype", any(a != b for a, b in dtypes)),
        (_composition(applied), any(a != b for a, b in applied)),
        ("names", any(layer.first != layer.second for layer in layers)),
        ("order of channels", any(layer.reordered for layer in layers)),
    )
    return [label for label, is_so in facts if is_so]


def _quantized(sums: Sums) -> Relation | None:
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
    if grid is None or grid.near < NEAR or (other is not None and other.levels <= grid.levels):
        return False
    return grid.levels < FEW_LEVELS or grid.error >= ROUNDED


def _stored(layers: Sequence[MatchedLayer]) -> tuple[list[tuple[str, str]], ...]:
    """The axes, the dtypes and the compositions of all layers, each as pairs of both sides."""
    names = Storage._fields
    return tuple(
        [(getattr(a, x), getattr(b, x)) for a, b in (y.stored for y in layers)] for x in names
    )


def _composition(applied: Sequence[tuple[str, str]]) -> str:
    pairs = dict.fromkeys(pair for pair in applied if pair[0] != pair[1])
    return "composition (" + ", ".join(f"{a} and {b}" for a, b in pairs) + ")"


def _grid_text(layers: Sequence[MatchedLayer], target: int) -> str:
    grids = [grid for layer in layers if (grid := layer.grids[target]) is not None]
    levels, near = max(grid.levels for grid in grids), min(grid.near for grid in grids)
    scope = "of each output channel" if any(grid.per_channel for grid in grids) else "of the layer"
    codes = sorted({grid.code for grid in grids if grid.code})
    kind = (
        f"values of {' and '.join(codes)} times one scale {scope}"
        if codes
        else f"whole multiples of one step {scope}, at most {levels} from zero"
    )
    return (
        f"in {len(layers)} layers the weights are {kind}; at least {near:.1%} of the other's "
        "weights lie within half a step"
    )


def _pruned(sums: Sums) -> Relation | None:
    for target, source in DIRECTIONS:
        zeroed, zeroed_source = sums.zeroed[target], sums.zeroed[source]
        if not zeroed or zeroed_source > ONE_SIDED * zeroed:
            continue
        remainder, altered = sums.weights - zeroed, sums.altered + zeroed_source
        # Nothing but zeros is pruning, however few; beside other changes they may be accidental.
        if altered and zeroed < MIN_PRUNED * sums.weights:
            continue
        is_trained = altered > EQUAL_REST * remainder
        if is_trained and not sums.are_related:
            continue
        label: Relationship = "pruned and fine-tuned" if is_trained else "pruned"
        text = f"{_share(zeroed, sums.weights)} of the weights are zero in one alone; "
        return Relation(label, (text + _beside(sums, altered, remainder), _cosines(sums)), source)
    return None


def _beside(sums: Sums, altered: int, remainder: int) -> str:
    """Return a phrase for the weights that are not pruned."""
    roundings = {layer.rounding_beside_zeros for layer in sums.layers} - {"", None}
    if altered:
        return f"{_share(altered, remainder)} of the rest differ"
    return f"the rest is equal up to {_rounding(roundings)}" if roundings else "the rest is equal"


def _rescaled(sums: Sums) -> Relation | None:
    """Relation where each kernel is its partner times a number, as folded norms and ReLU scaling make."""
    changed = [layer for layer in sums.layers if layer.rescaling is not None]
    distance = sum(layer.difference.distance**2 for layer in changed)
    remainder = sum((layer.rescaling or 0) * layer.difference.distance**2 for layer in changed)
    if not distance or remainder > RESCALED * distance or not sums.parallelism >= PARALLEL:
        return None
    text = f"in {_layers(len(changed))} every kernel is its partner times a number, up to rounding"
    turned = ["for some kernels the number is negative"] if sums.cosine < PARALLEL else []
    return Relation("rescaled", (text, *turned, _cosines(sums)))


def _fine_tuned(sums: Sums) -> Relation | None:
    if not sums.are_related:
        return None
    reasons = [_cosines(sums), *_kinship(sums), *_low_rank(sums)]
    if sums.changed == 0:
        reasons.append("every matched weight is bit-equal")
    elif sums.cosine < ONE_START:
        reasons.append("two trainings from one initialization can look the same")
    return Relation("fine-tuned", tuple(reasons))


def _low_rank(sums: Sums) -> list[str]:
    """The low rank of the change, as of a merged adapter, where every changed layer has one."""
    ranks = [layer.change_rank for layer in sums.layers if layer.rounding is None]
    low = [rank for rank in ranks if rank is not None]
    if not low or len(low) < len(ranks):
        return []
    return [
        f"the change of {_layers(len(ranks))} has rank {max(low)} at most, as a merged adapter makes"
    ]


def _partly_kin(sums: Sums) -> Relation | None:
    """Return the relation of networks of which a few layers go back to one another."""
    if not sums.kinship.are_partly_kin:
        return None
    return Relation("partly kin", (_cosines(sums), *_kinship(sums)))


def _kin_in_few(sums: Sums) -> Relation | None:
    """Return the relation of networks whose matched layers are kin, though most have no partner."""
    if not sums.are_related:
        return _partly_kin(sums)
    share = f"the matched layers are kin: {', '.join(layer.first for layer in sums.layers)}"
    return Relation("partly kin", (share, _cosines(sums), *_kinship(sums)))


def _apart(sums: Sums) -> Relation | None:
    if min(sums.shared) < SAME_SHAPES:
        return None
    return Relation("trained apart", (_cosines(sums), *_kinship(sums)))


def _kinship(sums: Sums) -> list[str]:
    return kinship_reasons(sums.kinship, [layer.first for layer in sums.layers])


def _unread(first: Side, second: Side) -> list[str]:
    """The convolutions that could not be read, of which the relation says nothing."""
    sides = (("first", first.unread), ("second", second.unread))
    return [f"of the {name} only {unread}" for name, unread in sides if unread]


def _matching(sums: Sums, first: Side, second: Side) -> str:
    n = len(sums.layers)
    if not n:
        counts = f"({first.n_layers} and {second.n_layers})"
        return f"cannot be compared: no layer of one has the shape of one of the other {counts}"
    ways = ("name", "content", "order")
    counts = {how: sum(layer.how == how for layer in sums.layers) for how in ways}
    counted = ", ".join(f"{count} by {how}" for how, count in counts.items() if count)
    a, b = sums.shared
    return (
        f"{n} layers matched of {first.n_layers} and {second.n_layers} ({counted}), "
        f"{a:.0%} and {b:.0%} of the kernels"
    )


def _cosines(sums: Sums) -> str:
    if math.isnan(sums.cosine):
        return "no kernels to compare that are not zero"
    null = f"null mean {sums.null_mean:.3f} ± {sums.spread:.3f}"
    return f"mean cosine of matched kernels {sums.cosine:.3f} ({null})"


def _layers(count: int) -> str:
    return "one layer" if count == 1 else f"{count} layers"


def _share(part: int, total: int) -> str:
    return f"{part / max(total, 1):.1%}"


def _rounding(names: Iterable[str | None]) -> str:
    """Return the rounding of layers as text."""
    types = sorted({part for name in names if name for part in name.split(" and ")} - {ARITHMETIC})
    return f"rounding to {' and '.join(types)}" if types else f"rounding in {ARITHMETIC}"
