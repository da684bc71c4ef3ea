"""The verdict on a deployed network beside the trained one: folded, rounded, quantized, or another.

Each pair of layers has its deviation, in steps of the type that the coarser one is stored in. The same
sentence is in the answer of `compare` and in that of the rule `twin` of `check`.
"""

import dataclasses
from collections.abc import Sequence

from ._comparison import MatchedLayer, Relation, Relationship, Side
from ._copies import FEW_LEVELS, ROUNDED
from ._deployed_sentences import changes_of, other_text, same_text
from ._deployment import Deployment, Off
from ._deviation import MOST, NEGLIGIBLE, Deviation
from ._other_arrays import OtherArrays
from ._sentences import unread_parts
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

LEAST_VALUES = 100
"""Values beyond the numbers of channels that have to be near for two networks to be one: of 4 bits each of
them is near in strangers three times in ten at most."""


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
    is_unchanged = relation.label in UNCHANGED and not relation.may_be_relative
    is_told = is_unchanged or _is_evident(same)
    counts = first.n_layers, second.n_layers
    is_part = 0 < len(sums.layers) == min(counts) < max(counts) and not differing and is_told
    if is_whole and not differing and is_told:
        changes, worst = changes_of(same), _worst(same)
        return Deployment(True, same_text(changes, worst), changes, worst, agreeing=len(same))
    if not sums.layers:
        return Deployment(False, "not the same network: no layer can be compared")
    text = other_text(same, differing, sum(counts) - 2 * len(sums.layers))
    return Deployment(
        is_same=False,
        text=text,
        changes=changes_of(same),
        worst=_worst(same),
        differing=tuple(layer.second for layer in differing),
        agreeing=len(same),
        is_part=is_part,
        is_coarse=any(
            x.deviation is not None and x.deviation.storage not in MOST for x in differing
        ),
    )


def with_deployment(relation: Relation, result: Deployment, first: Side, second: Side) -> Relation:
    """Return a verdict with the sentence on the deployed network, where there is one to say.

    Networks that are one are quantized or rescaled, whatever else their cosines would suggest.
    """
    n_scope = 1 + len(unread_parts(first, second))
    if result.is_part and relation.label in OVERRULED:
        return Relation("sub-network", (*relation.reasons[:n_scope], result.text))
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
    if result.is_same and relation.may_be_relative:
        relation = dataclasses.replace(relation, reasons=relation.reasons[:-1], caveat="")
    # Behind what the verdict rests on, before the cosines or the caveat.
    place = max(n_scope, len(relation.reasons) - 1)
    reasons = (*relation.reasons[:place], result.text, *relation.reasons[place:])
    return dataclasses.replace(relation, reasons=reasons)


def _is_said(relation: Relation, result: Deployment) -> bool:
    """Return whether the sentence says more than the verdict, as that all layers differ does not."""
    if relation.label in ("identical", "trained apart", "unrelated", "weakly alike"):
        return False
    return result.is_same or bool(result.differing and (result.agreeing or result.is_coarse))


def beside_other_arrays(result: Deployment, arrays: OtherArrays | None) -> Deployment:
    """Return the result given the other arrays of two files whose kernels are equal.

    Another format leaves arrays out; one of the same name with other values was trained.
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
    is_folded = (
        off.folded is not None and layer.transform is not None and layer.transform.is_negation
    )
    if layer.transform is not None and not is_folded:
        return False
    return layer.rounding is not None or (off.is_same and not _is_trained_onward(layer, off))


def _is_trained_onward(layer: MatchedLayer, off: Deviation) -> bool:
    """Return whether values lie nearer to the grid than rounding leaves them: the grid was there first."""
    grid, others = layer.grids[off.deployed], layer.grids[1 - off.deployed]
    # Values of another grid are not spread evenly over a step, however they are rounded.
    if grid is None or others is not None or off.folded is not None or off.values < LEAST_VALUES:
        return False
    return grid.levels >= FEW_LEVELS and grid.error < ROUNDED


def _distance(layer: MatchedLayer) -> float:
    """The length of a deviation over that of the layer; layers that are not alike at all come first."""
    deviation = layer.deviation
    is_defined = deviation is not None and deviation.relative == deviation.relative
    return deviation.relative if deviation and is_defined else float("inf")


def _is_evident(layers: Sequence[MatchedLayer]) -> bool:
    """Return whether deviations alone say that networks are one: no stranger is near in so many values."""
    values = [max(layer.deviation.values, 0) for layer in layers if layer.deviation]
    return sum(values) >= LEAST_VALUES


def _worst(layers: Sequence[MatchedLayer]) -> Off | None:
    """The layer that is furthest off, of those of the coarsest type."""
    deviations = [
        (x.deviation, x) for x in layers if x.deviation and x.deviation.steps >= NEGLIGIBLE
    ]
    if not deviations:
        return None
    deviation, layer = max(deviations, key=lambda pair: (pair[0].coarseness, pair[0].steps))
    return Off(layer.second if deviation.deployed else layer.first, deviation)
