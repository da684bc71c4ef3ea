"""Verdicts on networks of which one is the other but for rounding, scales, zeros, channels or axes.

Each function returns the relation that it is about, or None where the numbers do not allow it.
"""

from typing import Literal

from ._caveats import COMPACTED, ONE_START, RELATIVE, WEAK, WIDENED
from ._comparison import MatchedLayer, Relation, Relationship, Side
from ._sentences import (
    alignment_reasons,
    beside_pruned,
    block_reasons,
    cosines,
    grid_text,
    layer_count,
    rounding_text,
    scale_reason,
    share,
    storage_differences,
)
from ._totals import Sums

QUANTIZED_WEIGHTS = 0.9
"""Share of the changed layers' weights in layers on a grid: first and last layers are often left out."""

NEAR = 0.95
"""Share of a layer's weights within half a step of the grid; quantizers clip or compensate the rest."""

NEAR_DIRECT = 0.9999
"""The same, from which it is no relative that was rounded: of ternary siblings a few weights cross."""

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

COPIED = 0.8
"""Share of the further channels that are copies or zero, from which the wider network is the later one."""

ONE_BLOCK = 0.9
"""Cosine that a block needs if it is the only one: the channels of first layers are alike in strangers."""

DIRECTIONS: tuple[tuple[Literal[0, 1], Literal[0, 1]], ...] = ((1, 0), (0, 1))
"""Which side was made from which: the second from the first, and the other way round."""


def equal(sums: Sums, first: Side, second: Side) -> Relation | None:
    """Relation of networks whose layers are all equal up to rounding."""
    layers = sums.layers
    if not first.n_layers == second.n_layers == len(layers) or not _are_equal(sums):
        return None
    differences = storage_differences(layers, first, second)
    if sums.changed == 0 and not differences:
        return Relation("identical", ("every weight is bit-equal, and stored alike",))
    reasons = [f"stored in another way: {', '.join(differences)}"] if differences else []
    return Relation("re-saved", (*reasons, _equality(sums)))


def _are_equal(sums: Sums) -> bool:
    """Return whether all matched layers are equal up to rounding, as they are stored."""
    return all(
        layer.rounding is not None and layer.transform is None and layer.block is None
        for layer in sums.layers
    )


def _equality(sums: Sums) -> str:
    if sums.changed == 0:
        return "every weight is bit-equal"
    return (
        f"{share(sums.changed, sums.weights)} of the weights differ, all by no more "
        f"than {rounding_text(layer.rounding for layer in sums.layers)} makes"
    )


def by_channels(sums: Sums) -> Relation | None:
    """Relation where layers of one network are blocks of channels of the other's."""
    blocks = [layer for layer in sums.layers if layer.block is not None]
    if not blocks or not _are_evident(blocks) or not sums.are_related:
        return None
    wides: set[Literal[0, 1]] = {layer.wide for layer in blocks}
    reasons = (*block_reasons(sums.layers), *alignment_reasons(sums.layers), *_remainder(sums))
    if len(wides) > 1:
        return Relation("related, transformed", (*reasons, cosines(sums)), caveat=ONE_START)
    (wide,) = wides
    narrow, _ = DIRECTIONS[wide]
    copied = [
        layer.block.copied for layer in blocks if layer.block and layer.block.copied is not None
    ]
    if copied and sum(copied) >= COPIED * len(copied):
        text = "the further channels of the wider network are copies or zero"
        reasons = (*reasons, text, cosines(sums))
        return Relation("widened", reasons, narrow, COMPACTED)
    caveat = WIDENED if _is_explained(sums) else RELATIVE
    return Relation("pruned by channels", (*reasons, cosines(sums)), wide, caveat)


def _are_evident(blocks: list[MatchedLayer]) -> bool:
    return len(blocks) > 1 or blocks[0].kinship.cosine >= ONE_BLOCK


def _is_explained(sums: Sums) -> bool:
    """Return whether rounding and numbers for each kernel explain every difference."""
    return all(layer.rounding is not None or layer.factors for layer in sums.layers)


def _remainder(sums: Sums) -> list[str]:
    """Return the sentence on what differs between weights that were aligned."""
    if any(layer.factors for layer in sums.layers) and _is_explained(sums):
        return [scale_reason(sums.layers)]
    if _is_explained(sums):
        return [_equality(sums)]
    relation = quantized(sums)
    if relation is not None:
        return [relation.reasons[0]]
    text = (
        f"beyond that {share(sums.changed, sums.weights)} of the weights differ, as training makes"
    )
    return [text, *coarse_reasons(sums)]


def part(sums: Sums, first: Side, second: Side) -> Relation | None:
    """Relation where all layers of one network are layers of the other, which has more."""
    n = len(sums.layers)
    if first.n_layers == second.n_layers or n != min(first.n_layers, second.n_layers):
        return None
    if not _are_equal(sums):
        return None
    text = f"all {layer_count(n)} of the smaller network are layers of the larger one"
    equal = "every matched weight is bit-equal" if sums.changed == 0 else _equality(sums)
    return Relation("sub-network", (text, equal))


def quantized(sums: Sums) -> Relation | None:
    """Relation where one side lies on a coarser grid, to which the other rounds."""
    changed = [layer for layer in sums.layers if layer.difference.changed]
    total = sum(layer.difference.n for layer in changed)
    for target, source in DIRECTIONS:
        on_grid = [layer for layer in changed if _is_quantized(layer, target, source)]
        if total and sum(x.difference.n for x in on_grid) >= QUANTIZED_WEIGHTS * total:
            near = min(grid.near for x in on_grid if (grid := x.grids[target]) is not None)
            reasons = (grid_text(on_grid, target), *alignment_reasons(sums.layers), cosines(sums))
            return Relation("quantized", reasons, source, RELATIVE if near < NEAR_DIRECT else "")
    return None


def _is_quantized(layer: MatchedLayer, target: int, source: int) -> bool:
    grid, other = layer.grids[target], layer.grids[source]
    if grid is None or grid.near < NEAR or (other is not None and other.levels <= grid.levels):
        return False
    return grid.levels < FEW_LEVELS or grid.error >= ROUNDED


def pruned(sums: Sums) -> Relation | None:
    """Relation where weights are zero in one network alone."""
    for target, source in DIRECTIONS:
        zeroed, zeroed_source = sums.zeroed[target], sums.zeroed[source]
        if not zeroed or zeroed_source > ONE_SIDED * zeroed:
            continue
        remainder, altered = sums.weights - zeroed, sums.altered + zeroed_source
        # Nothing but zeros is pruning, however few; beside other changes they may be accidental.
        if altered and zeroed < MIN_PRUNED * sums.weights:
            continue
        is_trained = altered > EQUAL_REST * remainder
        # Rounding to few levels makes zeros too.
        if is_trained and (not sums.are_related or _are_coarse(sums, target)):
            continue
        label: Relationship = "pruned and fine-tuned" if is_trained else "pruned"
        text = f"{share(zeroed, sums.weights)} of the weights are zero in one alone; "
        reasons = (text + beside_pruned(sums, altered, remainder), *alignment_reasons(sums.layers))
        return Relation(label, (*reasons, cosines(sums)), source, RELATIVE if is_trained else "")
    return None


def _are_coarse(sums: Sums, side: int) -> bool:
    """Return whether the weights of one side alone lie on grids of 8 bits or fewer."""
    changed = [layer for layer in sums.layers if layer.difference.changed]
    coarse = [x for x in changed if x.grids[side] is not None and x.grids[1 - side] is None]
    total = sum(x.difference.n for x in changed)
    return bool(total) and sum(x.difference.n for x in coarse) >= QUANTIZED_WEIGHTS * total


def coarse_reasons(sums: Sums) -> list[str]:
    """Return the sentence on one network that was quantized, though not from the other itself."""
    sides = [name for side, name in enumerate(("first", "second")) if _are_coarse(sums, side)]
    return [
        f"the {name} lies on grids of 8 bits or fewer, so that it was quantized from a relative"
        for name in sides
    ]


def rescaled(sums: Sums) -> Relation | None:
    """Relation where kernels are those of the other times numbers, as folded norms make."""
    turns = [layer.transform for layer in sums.layers if layer.transform]
    if not all(turn.is_negation for turn in turns) or not _is_explained(sums):
        return None
    scopes = {layer.factors for layer in sums.layers if layer.factors}
    if not scopes:
        return None
    turned = (
        ["for some kernels the number is negative"] if sums.cosine < sums.parallelism - 1e-4 else []
    )
    label: Relationship = "related, transformed" if "kernel" in scopes else "rescaled per channel"
    reasons = (scale_reason(sums.layers), *turned, *alignment_reasons(sums.layers))
    return Relation(label, (*reasons, cosines(sums)))


def transformed(sums: Sums) -> Relation | None:
    """Relation where layers of one are those of the other mirrored, transposed or negated."""
    is_kin = sums.are_related and abs(sums.kinship.cosine) >= WEAK
    if not any(layer.transform for layer in sums.layers) or not (is_kin or _is_explained(sums)):
        return None
    reasons = (*alignment_reasons(sums.layers), *_remainder(sums), cosines(sums))
    caveat = "" if _is_explained(sums) else ONE_START
    return Relation("related, transformed", reasons, caveat=caveat)
