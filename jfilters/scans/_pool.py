"""Pooling of the numbers of layers into those of a model: one function for each kind of number.

Each takes the columns of the layers of one model, as object arrays with None for what is unknown, and the
name of the column. Counts add, sparsity is that of all kernels together, entropies and orthogonality are
medians over layers, and the verdict is the most worrying one.
"""

import math
from typing import Any

import numpy as np

from ..statistics import VERDICTS

Columns = dict[str, np.ndarray]

DEGENERATE = ("random-like", "collapsed", "all-zero")
"""The verdicts of degenerate layers (METHOD, Degeneration)."""


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


def worst_verdict(columns: Columns, name: str) -> str | None:
    """Return the most worrying verdict."""
    return min(_defined(columns[name]), key=VERDICTS.index, default=None)


def _defined(values: np.ndarray) -> list[Any]:
    return [value for value in values if value is not None]
