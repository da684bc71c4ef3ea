"""The summary of a scan for a terminal of 80 columns: totals, models, drift, and what was left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ..answers import Answer
from ..errors import printable
from ..scans import Scan
from ..scans.internal import FAILURES, left_out, verdict_counts
from ._cells import LEGEND, count, number, quantity, verdicts
from ._leads import family_leads, look_leads
from ._named_table import Column, NamedTable, Sentences
from ._summary_drift import DriftSummary

MOST_ROWS = 100  # models; the rest is only in the table


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
    if leads := [*family_leads(scan), *look_leads(scan)]:
        parts += ["", Sentences(leads)]
    models = scan.model_table.to_pylist()
    omitted = left_out(len(models))
    if models:
        parts += ["", _models(models[:MOST_ROWS])]
    if len(models) > MOST_ROWS:
        parts.append(Text(f"and {quantity(len(models) - MOST_ROWS, 'more model')}: models.parquet"))
    if omitted:
        parts += ["", *map(Text, omitted)]
    elif scan.arrays and len(models) > 1:
        parts += ["", DriftSummary(scan)]
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


def _models(models: list[dict]) -> Group:
    columns = [
        Column("layers"),
        Column("kernels", optional=True),
        Column("sparse", optional=True),
        Column("H/T", optional=True),
        Column("format", "left", optional=True),
        Column("verdict", "left"),
    ]
    rows = [(printable(row["model"]), _cells(row)) for row in models]
    return Group(NamedTable("model", columns, rows), Text(_LEGEND, "dim"))


def _cells(row: dict) -> list[Text]:
    texts = (
        count(row["n_layers"]),
        count(row["n_kernels"]),
        number(row["sparsity"], 3),
        number(row["variance_entropy_ratio"], 2),
        row["format"],
    )
    return [*map(Text, texts), verdicts(verdict_counts(row))]


_LEGEND = (
    "sparse: share of sparse kernels; H/T: variance entropy over its threshold for random "
    "kernels, median of the layers; "
    f"verdict: layers that are not healthy; {LEGEND}"
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
    if not checkpoints:
        folder = printable(scan.record["config"]["checkpoints"])
        formats = "`jfilters formats` lists what can be read"
        lines.append(Text(f"no checkpoint found in {folder}; {formats}", "yellow"))
    ignored = len(scan.record["ignored"])
    if ignored:
        lines.append(Text(f"{quantity(ignored, 'file')} ignored: no checkpoint", "dim"))
    return ["", *lines] if lines else []
