"""Groups of layers along an axis, whole or inside each value of another one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from ._axes import axis_values
from ._scan import Scan


@dataclass(frozen=True, eq=False)
class Group:
    """Layers of a scan with one label on an axis; the unit that a drift compares with others.

    - `label`: the label as text, such as "segmentation".
    - `within`: the value of the other axis inside which the group lies; None if there is no other axis.
    - `layers`: the rows of its layers in `Scan.layer_table`, in rising order.
    """

    label: str
    within: str | None
    layers: Int64[np.ndarray, " layers"]

    @property
    def name(self) -> str:
        """The label, after the value of the other axis."""
        return self.label if self.within is None else f"{self.within}: {self.label}"


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a scan along an axis: a partition of its layers, in the order of their labels.

    Numbers come before texts. Layers whose label is unknown belong to no group. Every question of groups
    takes such a partition in place of an axis.

    - `by`, `within`: the axis of the labels, and the axis inside whose values they are; None if there is
      none.
    - `groups`: the groups, one a label, or one a label and value of `within`.
    - `unknown`: number of layers without a label.
    """

    by: str
    within: str | None
    groups: tuple[Group, ...]
    unknown: int

    @property
    def pairs(self) -> Iterator[tuple[int, int]]:
        """The places of all groups to compare with each other: those within one value, once."""
        for j, second in enumerate(self.groups):
            for i in range(j):
                if self.groups[i].within == second.within:
                    yield i, j


def group_layers(scan: Scan, by: str, within: str | None = None) -> Groups:
    """Group the layers of a scan by their label on the axis `by`, apart for every value of `within`.

    Runs on the host and needs no JAX.

    Args:
        scan: in memory or opened.
        by: a column of layers.parquet, of metadata, or a derived axis such as "depth_decile".
        within: another axis; groups lie inside one of its values. None: one group a label.

    Returns:
        The groups in the order of their labels, and the number of layers in none.

    Raises:
        ValueError: for an axis that is not there, and one axis given twice.
    """
    if by == within:
        raise ValueError(f"expected two different axes, got {by!r} within itself")
    labels = axis_values(scan, by)
    outer = np.full(len(labels), "", object) if within is None else axis_values(scan, within)
    members: dict[tuple[object, ...], list[int]] = {}
    for layer, key in enumerate(zip(outer.tolist(), labels.tolist(), strict=True)):
        if None not in key:
            members.setdefault(key, []).append(layer)
    groups = tuple(
        Group(str(label), None if within is None else str(value), np.array(layers, np.int64))
        for (value, label), layers in sorted(members.items(), key=lambda item: _order(item[0]))
    )
    return Groups(by, within, groups, len(labels) - sum(len(group.layers) for group in groups))


def matched_layers(scan: Scan, axes: Sequence[str]) -> Int64[np.ndarray, " layers"]:
    """A number for every layer, the same where all these axes have the same labels.

    Raises ValueError for an axis that is not there, or whose labels differ inside a model.
    """
    numbers = np.zeros(len(scan.model_of_layer), np.int64)
    for axis in axes:
        labels = axis_values(scan, axis)
        places = {label: i for i, label in enumerate(dict.fromkeys(labels.tolist()))}
        parts = np.array([places[label] for label in labels.tolist()], np.int64)
        _check_whole_models(scan, axis, parts)
        _, numbers = np.unique(numbers * len(places) + parts, return_inverse=True)
    return numbers


def _check_whole_models(scan: Scan, axis: str, parts: Int64[np.ndarray, " layers"]) -> None:
    first = np.zeros(len(scan.model_names), np.int64)
    first[scan.model_of_layer] = parts
    differs = np.flatnonzero(first[scan.model_of_layer] != parts)
    if differs.size:
        model = scan.model_names[scan.model_of_layer[differs[0]]]
        raise ValueError(
            f"expected axes of whole models to match models by; {axis} differs inside {model}"
        )


def _order(key: tuple[object, ...]) -> list[tuple[bool, Any]]:
    """Numbers by size and before texts."""
    return [(isinstance(part, str), part) for part in key]
