"""The findings of a scan in sentences, with numbers, n and null; each leads to its section."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ...questions import AxisRow, Pair, neighbor_labels
from ...questions.internal import ALPHA
from ...scans.internal import DEGENERATE
from ...statistics import VERDICTS
from .._cells import count, quantity
from .._nearest import labels_lines
from ._view import View

WORST = 3
"""Degenerate layers that are named."""

Finding = dict[str, str]


def findings(view: View) -> list[Finding]:
    """Return the findings, the general ones first."""
    sentences = [
        *_scanned(view),
        *_degenerate(view),
        *_models(view),
        *_neighbors(view),
        *_axes(view),
        *_sparse(view),
        *_basis(view),
    ]
    return [{"title": title, "text": text, "to": to} for title, text, to in sentences]


Sentences = Iterator[tuple[str, str, str]]


def _scanned(view: View) -> Sentences:
    scan, totals = view.scan, view.scan.record["totals"]
    size = "x".join(map(str, scan.spatial))
    layers = scan.layer_table.num_rows
    kernels = sum(scan.layer_table["n_kernels"].to_pylist())
    text = (
        f"{quantity(len(scan.model_names), 'model')} with {quantity(layers, 'layer')} and "
        f"{quantity(kernels, f'{size} kernel')}"
    )
    if layers < totals["layers"]:
        text += f", of the {quantity(totals['layers'], 'layer')} of the scan"
    statuses = Counter(entry.get("status") for entry in scan.record["checkpoints"])
    statuses_read = [
        f"{statuses[status]} {phrase}" for status, phrase in _STATUSES.items() if statuses[status]
    ]
    read = f"{quantity(len(scan.record['checkpoints']), 'checkpoint')} in all"
    yield (
        "Scanned",
        f"{text}. {read}{': ' if statuses_read else ''}{', '.join(statuses_read)}.",
        "refused",
    )


_STATUSES = {
    "ok": "with such kernels",
    "partial": "read in part",
    "empty": "without",
    "refused": "refused",
    "failed": "failed to be read",
}


def _degenerate(view: View) -> Sentences:
    if not view.has_quality:
        yield (
            "Health",
            "The scan measured no quality, so that there are no verdicts.",
            "layers",
        )
        return
    rows = view.scan.layer_table.to_pylist()
    totals = Counter(row["verdict"] for row in rows)
    worst = sorted((row for row in rows if row["verdict"] in DEGENERATE), key=_worst_first)
    sound = [f"{count(totals[x])} {x}" for x in VERDICTS if totals[x] and x not in DEGENERATE]
    remainder = f"The other layers: {', '.join(sound)}." if sound else ""
    if not worst:
        yield (
            "Health",
            f"None of {quantity(len(rows), 'layer')} is degenerate. {remainder}",
            "quality",
        )
        return
    counts = [f"{count(totals[x])} {x}" for x in VERDICTS if totals[x] and x in DEGENERATE]
    verb = "is" if len(worst) == 1 else "are"
    share = f"{count(len(worst))} of {quantity(len(rows), 'layer')} ({len(worst) / len(rows):.0%})"
    examples = "; ".join(f"{x['layer']} of {x['model']} ({x['reason']})" for x in worst[:WORST])
    text = f"{share} {verb} degenerate: {', '.join(counts)}. Worst: {examples}. {remainder}"
    yield "Health", text, "quality"


def _worst_first(row: dict[str, Any]) -> tuple:
    return VERDICTS.index(row["verdict"]), -(row["variance_entropy_ratio"] or 0), row["model"]


def _models(view: View) -> Sentences:
    if len(view.scan.model_names) < 2:
        yield "Models", "There is one model: nothing to compare.", "models"
        return
    table = view.drift("model")
    pairs = sorted((x for x in table.pairs if not x.is_of_few_kernels), key=_value)
    small = len(table.pairs) - len(pairs)
    note = f" {_large(small, 'pair')} too few kernels." if small else ""
    if not pairs:
        yield "Models", f"No two models have enough kernels to compare them.{note}", "drift"
        return
    yield "Closest models", _pair(pairs[0]) + (note if len(pairs) == 1 else ""), "drift"
    if len(pairs) > 1:
        yield "Furthest models", f"{_pair(pairs[-1])}{note}", "drift"


def _neighbors(view: View) -> Sentences:
    """Say what the nearest model tells of task and data, where models have such labels."""
    lines = labels_lines(neighbor_labels(view.scan))
    if lines:
        text = ". ".join(line[0].upper() + line[1:] for line in lines)
        yield "Nearest models", f"{text}.", "drift"


def _large(number: int, noun: str) -> str:
    return f"{quantity(number, noun)} {'has' if number == 1 else 'have'}"


def _value(pair: Pair) -> float:
    return pair.value or 0


def _pair(pair: Pair) -> str:
    sizes = f"{count(pair.first_size.kernels)} and {count(pair.second_size.kernels)} kernels"
    null = pair.sampling_null
    null_95 = "unknown" if null is None else f"{null.quantile95:.2g}"
    return (
        f"{pair.first} and {pair.second}: D = {_value(pair):.3g} nats, the 95 % quantile of the "
        f"sampling null is {null_95} (n = {sizes}): {_judged(pair)}."
    )


def _judged(pair: Pair) -> str:
    return pair.label if pair.reason is None else f"{pair.label}, {pair.reason}"


def _axes(view: View) -> Sentences:
    """The axis of the largest D0 among those that people chose; models and verdicts are measured."""
    rows = [row for row in view.ranking.axes if row.axis not in ("model", "verdict")]
    if not rows:
        return
    top = rows[0]
    first, second = top.furthest
    axes = "1 axis" if len(rows) == 1 else f"{len(rows)} axes"
    text = (
        f"Of {axes}, {top.axis} has the largest drift: median D = {top.median:.3g} nats between its "
        f"{top.groups} groups, at most {top.maximum:.3g} ({first} against {second}). "
        f"{_tested(top)} {_surest(rows)}"
    )
    yield "Axes", text.rstrip(), "drift"


def _tested(row: AxisRow) -> str:
    units = f"{count(row.units)} units ({quantity(row.models, 'model')})"
    if row.p is None:
        return f"It has no p: {row.reason or 'none was asked for'}."
    relation = "more than" if row.p <= ALPHA else "not more than"
    return f"That is {relation} under labels permuted among {units}: p = {row.p:.2g}."


def _surest(rows: list[AxisRow]) -> str:
    """Name the axes below the first that shift beyond their null."""
    rows_beyond = [x for x in rows[1:] if x.p is not None and x.p <= ALPHA]
    clauses = [f"{x.axis} (median D = {x.median:.3g}, p = {x.p:.2g})" for x in rows_beyond]
    return (
        f"Other axes with more drift than under permuted labels: {', '.join(clauses)}."
        if clauses
        else ""
    )


def _sparse(view: View) -> Sentences:
    if not view.has_quality:
        return
    rows = view.scan.model_table.to_pylist()
    sparse, kernels = (sum(row[name] for row in rows) for name in ("n_sparse", "n_kernels"))
    eps = view.scan.record["config"].get("sparse_eps", 0.01)
    text = (
        f"{count(sparse)} of {quantity(kernels, 'kernel')} ({sparse / max(kernels, 1):.1%}) are sparse: "
        f"all their weights are below {eps:.0%} of the largest of their layer."
    )
    top = max(rows, key=lambda row: row["sparsity"] or 0)
    if top["n_sparse"]:
        share = f"{top['sparsity']:.1%} of n = {quantity(top['n_kernels'], 'kernel')}"
        text += f" {top['model']} has the largest share: {share}."
    yield "Sparsity", text, "quality"


def _basis(view: View) -> Sentences:
    ratio, d = view.scan.basis.variance_ratio, view.scan.d
    text = (
        f"The first of {d} components carries {float(ratio[0]):.0%} of the variance of normalized kernels, "
        f"the first three {float(sum(ratio[:3])):.0%}; of kernels without structure each would carry "
        f"{1 / d:.0%}."
    )
    yield "Structure", text, "basis"
