"""The verdict on a deployed network beside the trained one: folded, rounded, quantized, or another.

Each pair of layers has its deviation, in steps of the type that the coarser one is stored in. The same
sentence is in the answer of `compare` and in that of the rule `twin` of `check`.
"""

import dataclasses
from collections.abc import Sequence

from ._comparison import MatchedLayer, Relation, Relationship, Side
from ._deployment import Deployment, Off
from ._deviation import MOST
from ._other_arrays import OtherArrays
from ._sentences import layer_count, unread_parts
from ._totals import Sums

UNCHANGED: tuple[Relationship, ...] = (
    *("identical", "kernels identical, other arrays differ", "re-saved"),
    *("re-saved, other arrays differ", "quantized", "rescaled per channel"),
)
"""Verdicts that leave the kernels of a network what they were."""

OVERRULED: tuple[Relationship, ...] = (
    *("pruned", "pruned and fine-tuned", "related, transformed", "fine-tuned"),
    *("weakly alike", "partly kin", "trained apart", "unrelated"),
)
"""Verdicts that numbers of channels of both signs, and coarse steps, lead to among twins."""

COARSE = ("int2", "int3", "int4", "int5", "float8_e5m2", "float8_e4m3fn")
"""Types of so few levels that strangers are near too, once the numbers of channels are taken off."""

LEAST_VALUES = 500
"""Values beyond the numbers of channels that have to be near for two networks to be one."""

NEGLIGIBLE = 1e-3
"""Steps up to which a deviation is that of this comparison's own arithmetic."""

SHOWN = 3
"""Layers that are named."""


def deployed(sums: Sums, relation: Relation, first: Side, second: Side) -> Deployment:
    """Return whether two networks are one, as far as their kernels tell.

    Args:
        sums: the sums of the matched layers.
        relation: the verdict so far, which counts where the types have few levels.
        first, second: both checkpoints.
    """
    is_whole = 0 < len(sums.layers) == first.n_layers == second.n_layers
    same = [layer for layer in sums.layers if _is_same(layer)]
    differing = sorted((x for x in sums.layers if not _is_same(x)), key=_distance, reverse=True)
    is_told = relation.label in UNCHANGED or _is_evident(same)
    if is_whole and not differing and is_told:
        changes, worst = _changes(same), _worst(same)
        return Deployment(True, _same_text(changes, worst), changes, worst, agreeing=len(same))
    text = _other_text(sums, same, differing, first.n_layers + second.n_layers)
    return Deployment(
        is_same=False,
        text=text,
        changes=_changes(same),
        worst=_worst(same),
        differing=tuple(layer.second for layer in differing),
        agreeing=len(same),
        is_coarse=any(x.deviation is not None and x.deviation.storage not in MOST for x in differing),
    )


def with_deployment(
    relation: Relation, result: Deployment, first: Side, second: Side
) -> Relation:
    """Return a verdict with the sentence on the deployed network, where there is one to say.

    Networks that are one are quantized or rescaled, whatever else their cosines would suggest.
    """
    n_scope = 1 + len(unread_parts(first, second))
    if result.is_same and relation.label in OVERRULED:
        is_quantized = any(change.startswith("quantized") for change in result.changes)
        label: Relationship = "quantized" if is_quantized else "rescaled per channel"
        if "folded" not in result.changes and not is_quantized:
            label = "re-saved"
        source = None
        if is_quantized and result.worst and result.worst.deviation:
            source = 0 if result.worst.deviation.deployed == 1 else 1
        return Relation(label, (*relation.reasons[:n_scope], result.text), source)
    if not _is_said(relation, result):
        return relation
    # Behind what the verdict rests on, before the cosines or the caveat.
    place = max(n_scope, len(relation.reasons) - 1)
    reasons = (*relation.reasons[:place], result.text, *relation.reasons[place:])
    return dataclasses.replace(relation, reasons=reasons)


def _is_said(relation: Relation, result: Deployment) -> bool:
    """Return whether the sentence says more than the verdict: that all layers were trained onward does not."""
    if relation.label in ("identical", "trained apart", "unrelated", "weakly alike"):
        return False
    return result.is_same or bool(result.differing and (result.agreeing or result.is_coarse))


def beside_other_arrays(result: Deployment, arrays: OtherArrays | None) -> Deployment:
    """Return the result given the other arrays of two files whose kernels are equal.

    Another format, and a folded norm, leaves arrays out; one of the same name with other values was trained.
    """
    if arrays is None or not arrays.differing or not result.is_same:
        return result
    text = "not the same network: the kernels are the same, other arrays differ"
    return result._replace(is_same=False, text=text)


def _is_same(layer: MatchedLayer) -> bool:
    """Return whether storage explains what a layer is; numbers of channels may all be negative."""
    off = layer.deviation
    if off is None or layer.block is not None:
        return False
    is_folded = off.folded is not None and layer.transform is not None and layer.transform.is_negation
    if layer.transform is not None and not is_folded:
        return False
    return layer.rounding is not None or off.is_same


def _distance(layer: MatchedLayer) -> float:
    """The length of a deviation over that of the layer; layers that are not alike at all come first."""
    deviation = layer.deviation
    is_defined = deviation is not None and deviation.relative == deviation.relative
    return deviation.relative if deviation and is_defined else float("inf")


def _is_evident(layers: Sequence[MatchedLayer]) -> bool:
    """Return whether deviations alone say that networks are one: no stranger is near in so many values."""
    deviations = [layer.deviation for layer in layers if layer.deviation]
    fine = [x for x in deviations if x.storage not in COARSE]
    return len(fine) == len(deviations) and sum(max(x.values, 0) for x in fine) >= LEAST_VALUES


def _changes(layers: Sequence[MatchedLayer]) -> tuple[str, ...]:
    deviations = [layer.deviation for layer in layers if layer.deviation]
    storages = {x.storage for x in deviations if x.steps} - {"float32"}
    changes = ["folded"] if any(x.folded for x in deviations) else []
    for verb, names in (("quantized", storages - MOST.keys()), ("rounded", storages & MOST.keys())):
        if names:
            changes.append(f"{verb} to {' and '.join(sorted(names))}")
    return tuple(changes)


def _worst(layers: Sequence[MatchedLayer]) -> Off | None:
    """The layer that is furthest off, of those of the coarsest type."""
    deviations = [
        (x.deviation, x) for x in layers if x.deviation and x.deviation.steps >= NEGLIGIBLE
    ]
    if not deviations:
        return None
    deviation, layer = max(deviations, key=lambda pair: (pair[0].coarseness, pair[0].steps))
    return Off(layer.second if deviation.deployed else layer.first, deviation)


def _same_text(changes: Sequence[str], worst: Off | None) -> str:
    """The sentence on a network that is the other one."""
    text = ", ".join(["the same network", *([" and ".join(changes)] if changes else [])])
    if worst is None or worst.deviation is None:
        return text
    if worst.deviation.deployed == 0:
        text = text.replace("network, ", "network, the first ")
    steps = f"{worst.deviation.steps:.2g} {worst.deviation.unit}"
    return f"{text}; largest deviation {steps}, in {worst.layer}"


def _count(layer: MatchedLayer) -> str:
    deviation = layer.deviation
    if deviation is None or deviation.relative != deviation.relative:
        return "not alike"
    if deviation.storage in MOST and not _is_same(layer):
        return f"{deviation.relative:.2g} of its length"
    return f"{deviation.steps:.2g} {deviation.unit}"


def _other_text(
    sums: Sums, same: Sequence[MatchedLayer], differing: Sequence[MatchedLayer], both: int
) -> str:
    """The sentence on a network that is not, or not only, the other one."""
    parts = []
    if differing:
        names = ", ".join(f"{layer.second} ({_count(layer)})" for layer in differing[:SHOWN])
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        parts.append(f"{len(differing)} of {len(sums.layers)} layers differ: {names}{more}")
    if same and differing:
        changes = _changes(same)
        parts.append(", ".join(["the others are the same", *([" and ".join(changes)] * bool(changes))]))
    if unmatched := both - 2 * len(sums.layers):
        parts.append(f"{layer_count(unmatched)} {'has' if unmatched == 1 else 'have'} no partner")
    return f"not the same network: {'; '.join(parts) or 'too few values tell'}"
