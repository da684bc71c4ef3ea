"""Pooling of the numbers of layers into those of a model: one function for each kind of number.

Each takes the columns of the layers of one model, as object arrays with None for what is unknown, and the
name of the column. Counts add, sparsity is that of all kernels together, entropies and orthogonality are
medians over layers, and of verdicts the layers are counted.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..statistics import VERDICTS

Columns = dict[str, np.ndarray]

DEGENERATE = ("random-like", "collapsed", "all-zero")
"""The verdicts of degenerate layers (METHOD, Degeneration)."""

HEALTHY = "healthy"

BAD = tuple(label for label in VERDICTS if label in ("non-finite", *DEGENERATE))
"""The verdicts that say that something is wrong with a layer; the others are worth a look at most."""

VERDICT_COLUMNS = {f"layers_{label.replace('-', '_')}": label for label in VERDICTS}
"""The verdict that each column of models counts the layers of."""


def n_layers(columns: Columns, name: str) -> int:
    """Count the layers."""
    return len(columns["verdict"])


def sum_of_counts(columns: Columns, name: str) -> int:
    """Add up whole numbers, none of which is unknown."""
    return int(columns[name].sum())


def sum_of_numbers(columns: Columns, name: str) -> float:
    """Add up numbers, unknown ones left out."""
    return float(sum(_defined(columns[name])))


def root_of_squares(columns: Columns, name: str) -> float:
    """Return the length of the vector of the numbers, unknown ones left out."""
    return math.hypot(*_defined(columns[name]))


def largest(columns: Columns, name: str) -> float | None:
    """Return the largest number; None if all are unknown."""
    return max(_defined(columns[name]), default=None)


def median(columns: Columns, name: str) -> float | None:
    """Return the median of the numbers over layers; None if all are unknown."""
    values = _defined(columns[name])
    return float(np.median(values)) if values else None


def share_sparse(columns: Columns, name: str) -> float | None:
    """Return sparse kernels over finite kernels of all layers together; None without finite kernels."""
    finite = sum_of_counts(columns, "n_kernels") - sum_of_counts(columns, "n_nonfinite")
    return sum_of_counts(columns, "n_sparse") / finite if finite else None


def n_degenerate(columns: Columns, name: str) -> int:
    """Count the layers with a verdict of `DEGENERATE`."""
    return int(np.isin(columns["verdict"].astype(str), DEGENERATE).sum())


def n_with_verdict(columns: Columns, name: str) -> int:
    """Count the layers with the verdict that a column of `VERDICT_COLUMNS` is named after."""
    return int((columns["verdict"].astype(str) == VERDICT_COLUMNS[name]).sum())


def verdict_counts(model: Mapping[str, Any]) -> dict[str, int]:
    """Return the layers of every verdict in a row of the table of models, most worrying first."""
    counts = {label: model[name] or 0 for name, label in VERDICT_COLUMNS.items()}
    return {label: count for label, count in counts.items() if count}


def verdicts_text(counts: Mapping[str, int]) -> str:
    """Return the layers that are not healthy, most worrying first: `1 of 18 collapsed, 2 sparse`.

    >>> verdicts_text({"collapsed": 1, "sparse": 2, "healthy": 15})
    '1 of 18 collapsed, 2 sparse'
    """
    worrying = [(label, count) for label, count in counts.items() if label != HEALTHY]
    if not worrying:
        return HEALTHY
    (label, count), *others = worrying
    texts = [f"{count:,} of {sum(counts.values()):,} {label}"]
    return ", ".join(texts + [f"{count:,} {label}" for label, count in others])


def _defined(values: np.ndarray) -> list[Any]:
    return [value for value in values if value is not None]
