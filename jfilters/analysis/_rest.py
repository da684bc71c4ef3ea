"""Each group of an axis against all other layers: which one stands out."""

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from ._drift import adjusted, drift_between
from ._drift_table import Pair
from ._groups import group_layers
from ._saved import SavedScan

REST = "rest"
"""The second label of every pair."""

_SIDE = " side"  # a column of a copy of the layers; no scan has one of this name


def drift_from_rest(scan: SavedScan, by: str, **question: Any) -> tuple[Pair, ...]:
    """How far every group along an axis is from the layers of all other groups; in nats for drift.

    `question` is what `drift_between` takes, and raises, but `within`. The adjusted p is corrected for
    the number of groups.
    """
    groups = group_layers(scan, by).groups
    known = np.concatenate([group.layers for group in groups])
    pairs = [_from_rest(scan, group.layers, known, question) for group in groups]
    named = (
        dataclasses.replace(pair, first=group.label, second=REST)
        for group, pair in zip(groups, pairs, strict=True)
    )
    return adjusted(list(named))


def _from_rest(
    scan: SavedScan,
    layers: Int64[np.ndarray, " layers"],
    known: Int64[np.ndarray, " known"],
    question: dict[str, Any],
) -> Pair:
    side = np.full(len(scan.histogram), None, object)
    side[known] = "1 others"
    side[layers] = "0 group"
    column = pa.array(side.tolist(), pa.string())
    table = scan.layer_table.append_column(_SIDE, column)
    asked = dataclasses.replace(scan, layer_table=table)
    return drift_between(asked, _SIDE, **question).pairs[0]
