"""A scan in one line, and as small tables for notebooks."""

from collections import Counter
from typing import Any

import pyarrow as pa

from .. import _html
from ..errors import printable, redacted
from ..statistics import VERDICTS

MOST_MODELS = 200
"""Models in the table of a notebook."""

MOST_LAYERS = 20
"""Layers that are not healthy in the table of a notebook, the most worrying first."""


def summary(name: str, layers: pa.Table) -> str:
    """Return one line: the name of the scan, its sizes, and how many layers have which verdict."""
    models = len(set(layers["model"].to_pylist()))
    kernels = sum(layers["n_kernels"].to_pylist())
    counts = f"{models:,} models, {layers.num_rows:,} layers, {kernels:,} kernels"
    verdicts = _verdicts(layers)
    return f"Scan({printable(redacted(name))}: {counts}{verdicts and f'; {verdicts}'})"


def summary_html(name: str, layers: pa.Table, models: pa.Table) -> str:
    """Return the same line, the models, and the layers that are not healthy, as HTML."""
    line = _html.paragraph(summary(name, layers))
    return line + _models_html(models.to_pylist()) + _worst_html(layers.to_pylist())


def _verdicts(layers: pa.Table) -> str:
    counts = Counter(layers["verdict"].to_pylist())
    return ", ".join(f"{counts[word]:,} {word}" for word in VERDICTS if counts[word])


def _models_html(rows: list[dict[str, Any]]) -> str:
    columns = {
        "model": "model",
        "layers": "n_layers",
        "kernels": "n_kernels",
        "S": "sparsity",
        "H/T": "variance_entropy_ratio",
        "O": "orthogonality",
        "verdict": "verdict",
    }
    cells = [[row[name] for name in columns.values()] for row in rows[:MOST_MODELS]]
    more = "" if len(rows) <= MOST_MODELS else f", {MOST_MODELS} of {len(rows):,}; .models has all"
    caption = (
        f"models{more} (S: share of sparse kernels; H/T: variance entropy over that of random "
        "kernels; O: orthogonality; the verdict is the most worrying of all layers)"
    )
    return _html.table(list(columns), cells, caption=caption)


def _worst_html(rows: list[dict[str, Any]]) -> str:
    worrying = [row for row in rows if row["verdict"] != "healthy"]
    worrying.sort(key=lambda row: VERDICTS.index(row["verdict"]))
    columns = ("model", "layer", "verdict", "reason")
    cells = [[row[name] for name in columns] for row in worrying[:MOST_LAYERS]]
    caption = f"layers that are not healthy: the worst {len(cells)} of {len(worrying):,}"
    return _html.table(columns, cells, caption=caption) if worrying else ""
