"""The summary of a scan for a terminal of 80 columns: totals, models, drift, and what was left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..answers import Answer
from ..scans import Scan
from ..scans.internal import FAILURES, left_out, model_drift, verdict_counts
from ._cells import LEGEND, count, number, plain_table, quantity, verdicts

_DRIFT_TITLE = "drift D between models in nats: 0 is the same, larger is more different"
MOST_ROWS = 100  # models; the rest is only in the table
LARGEST_MATRIX = 12  # models; a wider matrix does not fit a terminal and is only in the CSV


@dataclass(frozen=True, eq=False)
class Summary(Answer):
    """A scan in short: totals, models, drift, and what became of every checkpoint."""

    scan: Scan

    def record(self) -> dict[str, Any]:
        """Return the record of the scan, as scan.json holds it."""
        return self.scan.record

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a checkpoint."""
        for checkpoint in self.scan.record["checkpoints"]:
            yield {name: value for name, value in checkpoint.items() if name != "skipped"}


def summary_text(summary: Summary) -> RenderableType:
    """Return totals, one row a model, the drift matrix when it is small, and what was refused and why."""
    scan = summary.scan
    parts: list[RenderableType] = [_totals(scan)]
    models = scan.model_table.to_pylist()
    omitted = left_out(len(models))
    if models:
        parts += ["", _models(models[:MOST_ROWS])]
    if len(models) > MOST_ROWS:
        parts.append(Text(f"and {quantity(len(models) - MOST_ROWS, 'more model')}: models.parquet"))
    if scan.arrays and 1 < len(models) <= LARGEST_MATRIX:
        parts += ["", Text(_DRIFT_TITLE, "bold"), _drift(scan)]
    elif omitted:
        parts += ["", *map(Text, omitted)]
    elif scan.arrays and len(models) > 1:
        parts += ["", Text(_DRIFT_TITLE, "bold"), _extremes(scan)]
    return Group(*parts, *_left_out(scan))


def _totals(scan: Scan) -> Text:
    n = scan.record["totals"]
    size = "x".join(map(str, scan.spatial))
    statuses = ", ".join(
        f"{n[key]} {label}"
        for key, label in (
            ("ok", "read"),
            ("partial", "read in part"),
            ("empty", "empty"),
            ("refused", "refused"),
            ("failed", "failed"),
        )
        if n[key]
    )
    text = Text(f"{quantity(n['checkpoints'], 'checkpoint')} ({statuses or 'none'}), ")
    text.append(
        f"{quantity(n['layers'], 'layer')}, {quantity(n['kernels'], f'{size} kernel')}", "bold"
    )
    if n["coefficients_outside_range"]:
        text.append(f", {count(n['coefficients_outside_range'])} coefficients outside the range")
    return text


def _models(models: list[dict]) -> Table:
    table = plain_table()
    table.add_column("model", overflow="fold", ratio=1)
    table.add_column("format", overflow="fold")
    for heading in ("layers", "kernels", "sparse", "H/T"):
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold", max_width=18)
    for row in models:
        table.add_row(
            Text(row["model"]),
            row["format"],
            count(row["n_layers"]),
            count(row["n_kernels"]),
            number(row["sparsity"], 3),
            number(row["variance_entropy_ratio"], 2),
            verdicts(verdict_counts(row)),
        )
    table.caption = (
        "sparse: share of sparse kernels; H/T: variance entropy over its threshold for random "
        "kernels, median of the layers; "
        f"verdict: layers that are not healthy; {LEGEND}"
    )
    table.caption_justify = "left"
    return table


def _drift(scan: Scan) -> Table:
    names, matrix = scan.model_names, model_drift(scan)
    table = plain_table()
    table.add_column("", justify="right", overflow="fold")
    table.add_column("model", overflow="fold", ratio=1)
    for i in range(1, len(names)):
        table.add_column(str(i), justify="right", overflow="fold")
    for i, name in enumerate(names):
        # The lower triangle: D is symmetric, and 0 on the diagonal.
        cells = [number(value, 2) for value in matrix[i, :i]]
        table.add_row(str(i + 1), Text(name), *cells, *[""] * (len(names) - 1 - i))
    return table


def _extremes(scan: Scan) -> Text:
    """The closest and the furthest pair, where the whole matrix does not fit."""
    names, matrix = scan.model_names, model_drift(scan)
    rows, columns = np.triu_indices(len(names), 1)
    drift = matrix[rows, columns]
    lines = []
    for label, pair in (("closest", int(np.argmin(drift))), ("furthest", int(np.argmax(drift)))):
        models = f"{names[rows[pair]]} and {names[columns[pair]]}"
        lines.append(f"{label}: {number(float(drift[pair]), 3)}, {models}")
    return Text(
        "\n".join([*lines, "drift-model.csv holds all pairs; small models drift by sampling alone"])
    )


def _left_out(scan: Scan) -> list[RenderableType]:
    checkpoints = scan.record["checkpoints"]
    lines: list[RenderableType] = [
        Text.assemble((entry["status"], "bold red"), " ", entry["reason"] or entry["model"])
        for entry in checkpoints
        if entry["status"] in FAILURES
    ]
    for status, style in (("partial", "bold yellow"), ("empty", "yellow")):
        entries = [entry for entry in checkpoints if entry["status"] == status]
        lines += [
            Text.assemble((status, style), f" {entry['model']}: {entry['reason']}")
            for entry in entries
        ]
    ignored = len(scan.record["ignored"])
    if ignored:
        lines.append(Text(f"{quantity(ignored, 'file')} ignored: no checkpoint", "dim"))
    return ["", *lines] if lines else []
