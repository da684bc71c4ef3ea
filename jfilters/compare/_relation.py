"""The verdict on a pair of checkpoints, from the numbers of its matched layers, with the evidence.

Convolution kernels alone are looked at. The first verdict that fits holds, from the closest relation to
the most distant one.
"""

import dataclasses

from ._caveats import ONE_START, WEAK
from ._comparison import Relation, Relationship, Side
from ._copies import (
    by_channels,
    coarse_reasons,
    equal,
    part,
    pruned,
    quantized,
    rescaled,
    transformed,
)
from ._kinship import kinship_reasons
from ._other_arrays import OtherArrays
from ._sentences import cosines, low_rank, matching, unread_parts
from ._totals import Sums

MIN_SHARED = 0.5
"""Share of the smaller network's kernels in matched layers, from which a pair can be related at all."""

SAME_SHAPES = 0.9
"""Share of the kernels of either network in matched layers, from which the architecture is the same."""

EQUAL_KERNELS: tuple[Relationship, ...] = ("identical", "re-saved")
"""Verdicts after which the other arrays of the files are compared."""


def relate(sums: Sums, first: Side, second: Side) -> Relation:
    """Return the relationship of two checkpoints, given the sums of their matched layers."""
    scope = (matching(sums, first, second), *unread_parts(first, second))
    if not sums.layers:
        return Relation("unrelated", scope)
    if max(sums.shared) < MIN_SHARED:
        relation = _kin_in_few(sums) or Relation("unrelated", tuple(_kinship(sums)))
    else:
        relation = _of_shared(sums, first, second)
    caveats = [relation.caveat] if relation.caveat else []
    return dataclasses.replace(relation, reasons=(*scope, *relation.reasons, *caveats))


def with_other_arrays(relation: Relation, arrays: OtherArrays) -> Relation:
    """Return the relation of two files whose kernels are equal, given their other arrays.

    Another format may need other arrays, so that for re-saved kernels those of both files alone count.
    """
    reasons = (*relation.reasons, *arrays.sentences())
    if relation.label == "identical" and not arrays.are_equal:
        reasons = tuple(x.replace("weight", "kernel weight") for x in relation.reasons)
        reasons = (*reasons, *arrays.sentences())
        return Relation("kernels identical, other arrays differ", reasons)
    if relation.label == "re-saved" and arrays.differing:
        return Relation("re-saved, other arrays differ", reasons)
    return dataclasses.replace(relation, reasons=reasons)


def _of_shared(sums: Sums, first: Side, second: Side) -> Relation:
    return (
        equal(sums, first, second)
        or by_channels(sums)
        or part(sums, first, second)
        or quantized(sums)
        or pruned(sums)
        or rescaled(sums)
        or transformed(sums)
        or _trained(sums)
        or _partly_kin(sums)
        or _weakly_alike(sums)
        or _apart(sums)
        or Relation("unrelated", (cosines(sums), *_kinship(sums)))
    )


def _trained(sums: Sums) -> Relation | None:
    if not sums.are_related or abs(sums.kinship.cosine) < WEAK:
        return None
    same = ["every matched weight is bit-equal"] if sums.changed == 0 else []
    reasons = [cosines(sums), *_kinship(sums), *low_rank(sums), *same, *coarse_reasons(sums)]
    return Relation("fine-tuned", tuple(reasons), caveat=ONE_START)


def _weakly_alike(sums: Sums) -> Relation | None:
    """Relation where networks are more alike than strangers, by too little to say how they are kin."""
    kinship = sums.kinship
    if not abs(kinship.z) >= kinship.least_z:
        return None
    text = (
        f"more alike than strangers (z {kinship.z:.0f}), by too little to say that one was made from the "
        f"other: r {kinship.cosine:.3f}, below {WEAK}"
    )
    return Relation("weakly alike", (cosines(sums), text, *kinship.evident_layers(_names(sums))))


def _partly_kin(sums: Sums) -> Relation | None:
    """Return the relation of networks of which a few layers go back to one another."""
    if not sums.kinship.are_partly_kin:
        return None
    return Relation("partly kin", (cosines(sums), *_kinship(sums)))


def _kin_in_few(sums: Sums) -> Relation | None:
    """Return the relation of networks whose matched layers are kin, though most have no partner."""
    if not sums.are_related or abs(sums.kinship.cosine) < WEAK:
        return _partly_kin(sums) or _weakly_alike(sums)
    text = f"the matched layers are kin: {', '.join(_names(sums))}"
    return Relation("partly kin", (text, cosines(sums), *_kinship(sums)))


def _apart(sums: Sums) -> Relation | None:
    if min(sums.shared) < SAME_SHAPES:
        return None
    return Relation("trained apart", (cosines(sums), *_kinship(sums)))


def _kinship(sums: Sums) -> list[str]:
    return kinship_reasons(sums.kinship, _names(sums))


def _names(sums: Sums) -> list[str]:
    return [layer.first for layer in sums.layers]
