"""The sentences with numbers that give the reasons of a verdict."""

import math
from collections.abc import Iterable, Sequence

from ..shift.internal import ARITHMETIC
from ._comparison import MatchedLayer, Side, Storage
from ._totals import Sums

SHOWN = 3
"""Layers that are listed with their channels or transformations; of more the first ones."""


def matching(sums: Sums, first: Side, second: Side) -> str:
    """Return the sentence on the matched layers: how many, by what, and their share of the kernels."""
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


def unread_parts(first: Side, second: Side) -> list[str]:
    """The convolutions that could not be read, of which the relation says nothing."""
    sides = (("first", first.unread), ("second", second.unread))
    return [f"of the {name} only {unread}" for name, unread in sides if unread]


def cosines(sums: Sums) -> str:
    """Return the sentence on the mean cosine, beside its null."""
    if math.isnan(sums.cosine):
        return "no kernels to compare that are not zero"
    null = f"null mean {sums.null_mean:.3f} ± {sums.spread:.3f}"
    return f"mean cosine of matched kernels {sums.cosine:.3f} ({null})"


def low_rank(sums: Sums) -> list[str]:
    """The low rank of the change, as of a merged adapter, where every changed layer has one."""
    ranks = [layer.change_rank for layer in sums.layers if layer.rounding is None]
    low = [rank for rank in ranks if rank is not None]
    if not low or len(low) < len(ranks):
        return []
    return [
        f"the change of {layer_count(len(ranks))} has rank {max(low)} at most, as a merged adapter makes"
    ]


def beside_pruned(sums: Sums, altered: int, remainder: int) -> str:
    """Return a phrase for the weights that are not pruned."""
    roundings = {layer.rounding_beside_zeros for layer in sums.layers} - {"", None}
    if altered:
        return f"{share(altered, remainder)} of the rest differ"
    return (
        f"the rest is equal up to {rounding_text(roundings)}" if roundings else "the rest is equal"
    )


def grid_text(layers: Sequence[MatchedLayer], target: int) -> str:
    """Return the phrase for the grids of layers, and for the other weights near them."""
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


def storage_differences(layers: Sequence[MatchedLayer], first: Side, second: Side) -> list[str]:
    """In what the storage of two equal networks differs."""
    axes, dtypes, applied = _stored(layers)
    on_disk = not (first.in_memory or second.in_memory)
    facts = (
        (f"format {first.format} and {second.format}", first.format != second.format and on_disk),
        ("axes", any(a != b for a, b in axes)),
        ("dtype", any(a != b for a, b in dtypes)),
        (_composition(applied), any(a != b for a, b in applied)),
        ("names", any(layer.first != layer.second for layer in layers)),
        ("order of channels", any(layer.reordered for layer in layers)),
    )
    return [label for label, is_so in facts if is_so]


def _stored(layers: Sequence[MatchedLayer]) -> tuple[list[tuple[str, str]], ...]:
    """The axes, the dtypes and the compositions of all layers, each as pairs of both sides."""
    names = Storage._fields
    return tuple(
        [(getattr(a, x), getattr(b, x)) for a, b in (y.stored for y in layers)] for x in names
    )


def _composition(applied: Sequence[tuple[str, str]]) -> str:
    pairs = dict.fromkeys(pair for pair in applied if pair[0] != pair[1])
    return "composition (" + ", ".join(f"{a} and {b}" for a, b in pairs) + ")"


def layer_count(count: int) -> str:
    """Return a number of layers in words."""
    return "one layer" if count == 1 else f"{count} layers"


def share(part: int, total: int) -> str:
    """Return a part of a total in percent."""
    return f"{part / max(total, 1):.1%}"


def rounding_text(names: Iterable[str | None]) -> str:
    """Return the rounding of layers as text."""
    types = sorted({part for name in names if name for part in name.split(" and ")} - {ARITHMETIC})
    return f"rounding to {' and '.join(types)}" if types else f"rounding in {ARITHMETIC}"


def alignment_reasons(layers: Sequence[MatchedLayer]) -> list[str]:
    """Return sentences on what was done to the second network before its weights were compared."""
    turned: dict[str, list[str]] = {}
    for layer in layers:
        if layer.transform is not None:
            turned.setdefault(layer.transform.text, []).append(layer.first)
    return [
        f"in {layer_count(len(names))} {_listed(names)}: {text}" for text, names in turned.items()
    ]


def block_reasons(layers: Sequence[MatchedLayer]) -> list[str]:
    """Return sentences on the channels of layers that are blocks of wider ones."""
    blocks = [(layer.first, layer.block) for layer in layers if layer.block is not None]
    counts = _listed([f"{name} {block.text}" for name, block in blocks], "; ")
    choices = [
        block for _, block in blocks if block.groups == 1 and len(block.inputs) < block.shape[1]
    ]
    chosen = [set(block.outputs.tolist()) for _, block in blocks]
    followed = sum(set(block.inputs.tolist()) in chosen for block in choices)
    reasons = [f"{layer_count(len(blocks))} in blocks of channels: {counts}"]
    if choices:
        reasons.append(
            f"the input channels are the output channels of another layer in {followed} of {len(choices)}"
        )
    return reasons


def scale_reason(layers: Sequence[MatchedLayer]) -> str:
    """Return the sentence on kernels that are those of the other network times numbers."""
    scopes = sorted({layer.factors for layer in layers if layer.factors})
    numbers = "; ".join(
        f"one for each {scope}" if scope != "layer" else "one for the layer" for scope in scopes
    )
    count = layer_count(sum(layer.factors is not None for layer in layers))
    return f"in {count} every kernel is its partner times a number, up to rounding: {numbers}"


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    text = separator.join(names[:SHOWN])
    return f"{text} and {len(names) - SHOWN} more" if len(names) > SHOWN else text
