"""Every axis of the page: its groups, the drift between them with its null, and their densities."""

from typing import Any

import numpy as np

from ...questions import DriftTable, phenotypes
from ...questions.internal import FOLLOWS, RULER, ruler_text, unit_in_words
from ...scans import Group, Scan
from ._order import leaf_order
from ._pack import packed, rounded
from ._view import MOST_GROUPS, View

MOST_COMPONENTS = 27
"""Of a large kernel, of which densities are shown: those of the largest variance."""

_FULL = 65_535  # of a density where it is highest along a component, and of the whole of a drift


def axes_section(view: View) -> dict[str, Any] | None:
    """Return the groups of every axis with drift and densities; None if no axis has two groups."""
    tables = {axis: _axis(view, axis) for axis in view.compared}
    if not tables:
        return None
    return {
        "tables": tables,
        "ranking": _ranking(view),
        "same": view.same_groups,
        "left_out": list(view.left_out),
        "components": min(view.scan.d, MOST_COMPONENTS),
        "edges": [rounded(float(edge)) for edge in view.scan.edges],
        "ruler": ruler_text(),
        "marks": [[mark.kind, mark.median] for mark in RULER if mark.median > 0],
    }


def _axis(view: View, axis: str) -> dict[str, Any]:
    scan, table = view.along(axis), view.drift(axis)
    return {
        "labels": list(table.labels),
        "sizes": [[x.units, x.models, x.layers, x.kernels] for x in table.sizes],
        "tested": [unit_in_words(table.unit), table.units, table.models],
        "warnings": list(table.warnings),
        "groups": len(view.groups(axis).groups),
        "unknown": table.unknown,
        "order": _order(table),
        "pairs": _pairs(table),
        **_densities(scan, view.shown_groups(axis).groups),
        "phenotypes": _phenotypes(scan, axis),
        "of_layer": packed(_places(view, axis, table.labels), "u1"),
    }


def _order(table: DriftTable) -> list[int]:
    values = [pair.value for pair in table.pairs]
    return leaf_order(len(table.labels), values, [x.is_of_few_kernels for x in table.pairs])


def _pairs(table: DriftTable) -> dict[str, Any]:
    """Return every pair once, in the order (0, 1), (0, 2), (1, 2), (0, 3), ..."""
    shares = np.array([pair.shares for pair in table.pairs], float)
    parts = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    parts = parts[:, :MOST_COMPONENTS]
    return {
        "value": [rounded(pair.value) for pair in table.pairs],
        "debiased": [rounded(pair.debiased) for pair in table.pairs],
        "effect": [rounded(pair.effect) for pair in table.pairs],
        "effect_low": [rounded(pair.effect_low) for pair in table.pairs],
        "effect_high": [rounded(pair.effect_high) for pair in table.pairs],
        "sampling_95": [
            rounded(pair.sampling_null and pair.sampling_null.quantile95) for pair in table.pairs
        ],
        "p": [rounded(pair.p_adjusted) for pair in table.pairs],
        "smallest_p": [rounded(pair.smallest_p) for pair in table.pairs],
        "label": [pair.label for pair in table.pairs],
        "reason": [pair.reason for pair in table.pairs],
        "parts": packed(parts * _FULL, "u2"),
    }


def _densities(scan: Scan, groups: tuple[Group, ...]) -> dict[str, Any]:
    """Return the share of kernels per unit of coefficient, and where each component is highest."""
    shown = scan.histogram[:, :MOST_COMPONENTS]
    counts = np.stack([shown[group.layers].sum(axis=0) for group in groups])
    density = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1) / np.diff(scan.edges)
    peaks = np.maximum(density.max(axis=(0, 2), keepdims=True), 1e-9)
    return {
        "peaks": [rounded(float(peak)) for peak in peaks.ravel()],
        "density": packed(density / peaks * _FULL, "u2"),
    }


def _phenotypes(scan: Scan, axis: str) -> list[list] | None:
    """Return label, reason and number of kernels of every group; None without a sample."""
    if scan.sample is None or not len(scan.sample) or scan.d < 2:
        return None
    return [
        [row.phenotype and row.phenotype.label, row.phenotype and row.phenotype.reason, row.kernels]
        for row in phenotypes(scan, axis).groups
    ]


def _places(view: View, axis: str, labels: tuple[str, ...]) -> np.ndarray:
    """Return the place of its group for every layer of the scan, 255 if that is not shown."""
    places = np.full(view.scan.layer_table.num_rows, 255)
    of_label = {label: place for place, label in enumerate(labels)}
    for group in view.groups(axis).groups:
        places[group.layers] = of_label.get(group.label, 255)
    return places


def _ranking(view: View) -> dict[str, Any]:
    """Return the axes by the debiased drift between their groups, as `jfilters axes` has it."""
    record = view.ranking.record()
    names = ("median", "debiased", "mean", "maximum", "p")
    rows = [row | {name: rounded(row[name]) for name in names} for row in record["axes"]]
    listed = {row["axis"] for row in rows} | record["left_out"].keys()
    reasons = {
        axis: FOLLOWS.get(axis, f"more than {MOST_GROUPS} groups")
        for axis in view.compared
        if axis not in listed
    }
    return {"rows": rows, "left_out": record["left_out"] | reasons}
