"""The drift between models in a summary: a matrix where it fits, else the nearest and the furthest pair.

A value that sampling alone may make is never the furthest, and stands as a dot in the matrix.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from ..errors import printable
from ..questions.internal import FEWEST, RULER, has_few_kernels
from ..scans import Scan
from ..scans.internal import model_counts, model_drift
from ..shift import drift_null
from ._cells import number
from ._named_table import Column, NamedTable, Sentences

LARGEST_MATRIX = 12  # models; a wider matrix does not fit a terminal and is only in the CSV
MOST_TRIED = 300  # pairs whose null is computed, half a millisecond each

_TITLE = "drift D between models in nats: 0 is the same, larger is more different"


class DriftSummary:
    """The drift between the models of a scan, for a terminal of any width."""

    def __init__(self, scan: Scan):
        self._names = [printable(name) for name in scan.model_names]
        self._matrix = model_drift(scan)
        self._is_noise = noise(scan, self._matrix)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the title and the matrix, or the title and two pairs."""
        n = len(self._names)
        width = 2 + len(str(n)) + 5 * (n - 1) + 16
        yield Text(_TITLE, "bold")
        has_clear = next(self._clear(reversed(list(self._sorted()))), None) is not None
        if has_clear and n <= LARGEST_MATRIX and width <= options.max_width:
            yield self._table()
        else:
            yield self._extremes(csv=n > LARGEST_MATRIX)

    def _table(self) -> Group:
        n = len(self._names)
        # The lower triangle: D is symmetric, and 0 on the diagonal.
        rows = [
            (name, [Text(self._cell(i, j)) if j < i else Text("") for j in range(n - 1)])
            for i, name in enumerate(self._names)
        ]
        columns = [Column(str(j + 1)) for j in range(n - 1)]
        table = NamedTable("model", columns, rows, before=[str(i + 1) for i in range(n)])
        dots = any(self._is_noise(i, j) for i in range(n) for j in range(i))
        notes = ["'.': sampling alone may make it"] if dots else []
        return Group(table, Text("; ".join([*notes, _ruler()]), "dim"))

    def _cell(self, i: int, j: int) -> str:
        is_equal = self._matrix[i, j] == 0
        return "." if not is_equal and self._is_noise(i, j) else number(self._matrix[i, j], 2)

    def _extremes(self, *, csv: bool) -> Sentences:
        pairs = list(self._sorted())
        nearest, furthest = pairs[0], next(self._clear(reversed(pairs)), None)
        lines = [self._line("nearest", nearest)]
        if furthest is None:
            lines.append("no pair is further apart than sampling alone may make it")
        elif furthest != nearest:
            lines.append(self._line("furthest", furthest))
        lines += ["drift-model.csv holds all pairs"] if csv else []
        return Sentences([*lines, _ruler()])

    def _line(self, label: str, pair: tuple[int, int]) -> str:
        value = float(self._matrix[pair])
        note = " (sampling alone may make it)" if value and self._is_noise(*pair) else ""
        first, second = (self._names[i] for i in pair)
        return f"{label}: {number(value, 3)}{note}, {first} and {second}"

    def _sorted(self) -> Iterator[tuple[int, int]]:
        rows, columns = np.triu_indices(len(self._names), 1)
        order = np.argsort(self._matrix[rows, columns], kind="stable")
        return ((int(rows[k]), int(columns[k])) for k in order)

    def _clear(self, pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        for tried, pair in enumerate(pairs):
            if tried < MOST_TRIED and not self._is_noise(*pair):
                yield pair


def noise(scan: Scan, matrix: np.ndarray) -> Callable[[int, int], bool]:
    """Return the function that says for two models whether sampling alone may make most of their drift."""
    counts = model_counts(scan)
    sizes = counts[:, 0].sum(axis=-1)

    @functools.cache
    def is_noise(i: int, j: int) -> bool:
        fewest = float(min(sizes[i], sizes[j]))
        if fewest < FEWEST:
            return True
        pair = float(sizes[i]), float(sizes[j])
        null = drift_null(counts[i] + counts[j], pair, scan.component_weights, scan.edges)
        return has_few_kernels(float(matrix[i, j]), null, fewest)

    return is_noise


def _ruler() -> str:
    kinds = ("other seed", "other data", "other task")
    marks = [f"{mark.kind} {mark.median:.2g}" for mark in RULER if mark.kind in kinds]
    return f"medians of known pairs: {', '.join(marks)}"
