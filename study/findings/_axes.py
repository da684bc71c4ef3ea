"""Axes by how far they shift kernels: each against its null, and each alone with all others fixed."""

import itertools
from typing import Any

import numpy as np

from jfilters.questions import Balance, axes_table, drift_between
from jfilters.scans import Scan
from jfilters.shift import holm

from ._parts import DESIGN, Parts, about_models

LAYERS = ("depth_decile", "first_layer")
AXES = (*DESIGN, "framework", "seed", *LAYERS)
ZOO_AXES = (*DESIGN, *LAYERS)
BALANCES: tuple[Balance, ...] = ("models", "kernels")
PERMUTATIONS = 4_999
SEED = 0

Rows = list[dict[str, Any]]


def axes(parts: Parts) -> Rows:
    """Return one row an axis and part, with the p of its median, and p corrected for all of them."""
    rows = []
    for name, scan in {"trained": parts.trained, "initial": parts.initial}.items():
        for balance in BALANCES:
            rows += _rows(name, scan, AXES, balance, DESIGN)
    rows += _rows("initial and trained", parts.ends, ("stage",), "models", ("net",))
    rows += _rows("every step", parts.design, ("progress",), "models", ("net",))
    rows += _rows("zoo", parts.zoo, ZOO_AXES, "models", ())
    rows += _rows("trained and zoo", parts.beside_zoo, ("series",), "models", ())
    return with_holm(rows, "p")


def pairs(parts: Parts) -> Rows:
    """Return every pair of groups along every axis of trained networks, with p corrected for all."""
    rows = []
    for axis in AXES:
        matched = [name for name in DESIGN if name != axis]
        table = drift_between(
            parts.trained,
            axis,
            balance="models",
            matched=matched,
            permutations=PERMUTATIONS,
            seed=SEED,
        )
        rows += [
            {
                "axis": axis,
                "first": pair.first,
                "second": pair.second,
                "drift": pair.value,
                "debiased": pair.debiased,
                "effect": pair.effect,
                "effect_low": pair.effect_low,
                "effect_high": pair.effect_high,
                "sampling_95": pair.sampling_null and pair.sampling_null.quantile95,
                "units_first": pair.first_size.units,
                "units_second": pair.second_size.units,
                "kernels_first": pair.first_size.kernels,
                "kernels_second": pair.second_size.kernels,
                "p": pair.p,
            }
            for pair in table.pairs
        ]
    return with_holm(rows, "p")


def alone(parts: Parts) -> Rows:
    """Return the drift between trained networks that differ in one axis of the design only.

    Networks that differ in their seed alone are the reference: the variation of training itself.
    """
    table = drift_between(parts.trained, "model", permutations=0, replicates=0)
    labels = about_models(parts.trained)
    differs: dict[tuple[str, ...], list[float]] = {}
    for (i, first), (j, second) in itertools.combinations(enumerate(table.labels), 2):
        axes = tuple(x for x in (*DESIGN, "seed") if labels[first][x] != labels[second][x])
        if len(axes) == 1:
            differs.setdefault(axes, []).append(table.matrix[i, j])
    return [
        {
            "differs_in": axes[0],
            "pairs": len(values),
            "median": float(np.median(values)),
            "lower_quartile": float(np.quantile(values, 0.25)),
            "upper_quartile": float(np.quantile(values, 0.75)),
            "maximum": float(np.max(values)),
        }
        for axes, values in sorted(differs.items(), key=lambda item: -np.median(item[1]))
    ]


def with_holm(rows: Rows, column: str) -> Rows:
    """Return the rows with p corrected by Holm's method over all rows that have one."""
    tested = [row for row in rows if row[column] is not None]
    for row, p in zip(tested, holm([row[column] for row in tested]).tolist(), strict=True):
        row["p_holm"] = p
    return [row | {"p_holm": row.get("p_holm")} for row in rows]


def _rows(
    population: str,
    scan: Scan,
    axes: tuple[str, ...],
    balance: Balance,
    matched: tuple[str, ...],
) -> Rows:
    table = axes_table(
        scan, axes, balance=balance, matched=matched, permutations=PERMUTATIONS, seed=SEED
    )
    return [
        {
            "population": population,
            "axis": row.axis,
            "balance": balance,
            "models": len(scan.model_names),
            "kernels": sum(scan.layer_table["n_kernels"].to_pylist()),
            "groups": row.groups,
            "median": row.median,
            "debiased": row.debiased,
            "units": row.units,
            "mean": row.mean,
            "maximum": row.maximum,
            "furthest": " | ".join(row.furthest),
            "p": row.p,
        }
        for row in table.axes
    ]
