"""The table of models: every number of theirs, and their metadata."""

from typing import Any

import numpy as np

from ...scans import Scan
from ...scans.internal import verdict_counts, verdicts_text
from ...scans.schema import LAYERS
from ._pack import rounded
from ._view import View

MOST_ROWS = 10_000
"""Models in the table; of more, those with the most kernels."""

_NUMBERS = {
    "n_layers": "layers",
    "n_kernels": "kernels",
    "sparsity": "S",
    "variance_entropy_ratio": "H/T",
    "orthogonality": "O",
    "n_degenerate": "degenerate",
}


def models_section(view: View) -> dict[str, Any]:
    """Columns with their kind, and one row a model."""
    scan = view.scan
    metadata = _metadata(scan)
    measured = _NUMBERS if view.has_quality else dict(list(_NUMBERS.items())[:2])
    columns = [{"label": "model", "kind": "text"}]
    columns += [{"label": "verdicts", "kind": "verdicts"}] if view.has_quality else []
    columns += [{"label": "format", "kind": "text"}]
    columns += [{"label": label, "kind": "number"} for label in measured.values()]
    columns += [{"label": name, "kind": _kind(values)} for name, values in metadata.items()]
    names = ["model", *(["verdicts"] if view.has_quality else []), "format", *measured]
    rows = [_counted(row) for row in scan.model_table.to_pylist()]
    return {
        "columns": columns,
        "rows": [
            [
                _cell(value)
                for value in (*(row[x] for x in names), *(metadata[x][i] for x in metadata))
            ]
            for i, row in ((i, rows[i]) for i in shown_models(scan))
        ],
        "total": len(rows),
    }


def shown_models(scan: Scan) -> list[int]:
    """Return the places of the models in the table: all, or those with the most kernels, in order."""
    kernels = np.array(scan.model_table["n_kernels"].to_pylist())
    return sorted(np.argsort(-kernels, kind="stable")[:MOST_ROWS].tolist())


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"verdicts": verdicts_text(verdict_counts(row))}


def _metadata(scan: Scan) -> dict[str, list]:
    """Return the metadata of models, one value a model; the step of each, if the scan has steps."""
    layers, models = scan.layer_table, scan.model_table["model"].to_pylist()
    columns = {}
    for name in ("step", *(name for name in layers.column_names if name not in LAYERS.names)):
        values_of: dict[str, set] = {model: set() for model in models}
        for model, value in zip(layers["model"].to_pylist(), layers[name].to_pylist(), strict=True):
            values_of[model].add(value)
        if all(len(values) == 1 for values in values_of.values()):
            columns[name] = [values_of[model].pop() for model in models]
    return {name: values for name, values in columns.items() if set(values) != {None}}


def _kind(values: list) -> str:
    labels = [value for value in values if value is not None]
    is_number = all(isinstance(x, int | float) and not isinstance(x, bool) for x in labels)
    return "number" if is_number else "text"


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return rounded(value)
    return value if value is None or isinstance(value, str | bool | int) else str(value)
