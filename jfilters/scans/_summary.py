"""A scan in one line, and as small tables for notebooks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from .. import _html
from ..errors import printable, redacted
from ..statistics import VERDICTS
from ._pool import BAD, verdict_counts, verdicts_text
from ._status import FINDINGS

MOST_MODELS = 200
"""Models in the table of a notebook."""

MOST_LAYERS = 20
"""Layers that are not healthy in the table of a notebook, the most worrying first."""

MOST_CHECKPOINTS = 200
"""Checkpoints that were not read in whole in the table of a notebook."""

Checkpoints = Sequence[Mapping[str, Any]]


def summary(name: str, layers: pa.Table, checkpoints: Checkpoints) -> str:
    """Return one line: the name of the scan, its sizes, how many layers have which verdict, and how many
    checkpoints were not read in whole."""
    models = len(set(layers["model"].to_pylist()))
    kernels = sum(layers["n_kernels"].to_pylist())
    counts = f"{models:,} models, {layers.num_rows:,} layers, {kernels:,} kernels"
    parts = [counts, _verdicts(layers), _statuses(checkpoints)]
    return f"Scan({printable(redacted(name))}: {'; '.join(filter(None, parts))})"


def summary_html(name: str, layers: pa.Table, models: pa.Table, checkpoints: Checkpoints) -> str:
    """Return the same line, the models, the layers that are not healthy, and the checkpoints that were not
    read in whole with the reason, as HTML."""
    line = _html.paragraph(summary(name, layers, checkpoints))
    tables = _models_html(models.to_pylist()) + _worst_html(layers.to_pylist())
    return line + tables + _unread_html(checkpoints)


def _verdicts(layers: pa.Table) -> str:
    counts = Counter(layers["verdict"].to_pylist())
    return ", ".join(f"{counts[label]:,} {label}" for label in VERDICTS if counts[label])


def _statuses(checkpoints: Checkpoints) -> str:
    counts = Counter(checkpoint.get("status") for checkpoint in checkpoints)
    return ", ".join(f"{counts[status]:,} {status}" for status in FINDINGS if counts[status])


def _models_html(rows: list[dict[str, Any]]) -> str:
    columns = {
        "model": "model",
        "layers": "n_layers",
        "kernels": "n_kernels",
        "S": "sparsity",
        "H/T": "variance_entropy_ratio",
        "O": "orthogonality",
    }
    cells = [
        [*(row[name] for name in columns.values()), verdicts_text(verdict_counts(row))]
        for row in rows[:MOST_MODELS]
    ]
    remainder = (
        "" if len(rows) <= MOST_MODELS else f", {MOST_MODELS} of {len(rows):,}; .models has all"
    )
    caption = (
        f"models{remainder} (S: share of sparse kernels; H/T: variance entropy over that of random "
        f"kernels; O: orthogonality; verdicts: layers by verdict, of which {', '.join(BAD)} are bad)"
    )
    return _html.table([*columns, "verdicts"], cells, caption=caption)


def _worst_html(rows: list[dict[str, Any]]) -> str:
    worrying = [row for row in rows if row["verdict"] != "healthy"]
    worrying.sort(key=lambda row: VERDICTS.index(row["verdict"]))
    columns = ("model", "layer", "verdict", "reason")
    cells = [[row[name] for name in columns] for row in worrying[:MOST_LAYERS]]
    caption = f"layers that are not healthy: the worst {len(cells)} of {len(worrying):,}"
    return _html.table(columns, cells, caption=caption) if worrying else ""


def _unread_html(checkpoints: Checkpoints) -> str:
    unread = [checkpoint for checkpoint in checkpoints if checkpoint.get("status") in FINDINGS]
    columns = ("model", "format", "status", "reason")
    cells = [[row.get(name) for name in columns] for row in unread[:MOST_CHECKPOINTS]]
    caption = f"checkpoints that were not read in whole: {len(cells)} of {len(unread):,}"
    return _html.table(columns, cells, caption=caption) if unread else ""
