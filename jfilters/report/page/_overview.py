"""The findings of a scan: a short sentence each, and behind it the numbers and the nulls."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...questions import AxisRow, NeighborLabels, Pair, neighbor_labels
from ...questions.internal import ALPHA
from ...statistics import VERDICTS
from .._cells import count, quantity
from ._verdicts import class_of
from ._view import View

WORST = 3
"""Bad layers that are named."""

Text = Sequence[str | list[str]]
"""A sentence in parts: text as it is, and `[name]` for a name of a model, a layer or a group."""


class Finding(NamedTuple):
    """A sentence of at most 25 words, names counted as one; what supports it; the section with more."""

    title: str
    text: Text
    why: Sequence[Text]
    to: str


def findings(view: View) -> list[dict[str, Any]]:
    """Return the findings, the general ones first."""
    rows = [
        *_scanned(view),
        *_health(view),
        *_models(view),
        *_neighbors(view),
        *_axes(view),
        *_sparse(view),
        *_basis(view),
    ]
    return [row._asdict() for row in rows]


Findings = Iterator[Finding]


def _scanned(view: View) -> Findings:
    scan, totals = view.scan, view.scan.record["totals"]
    size = "x".join(map(str, scan.spatial))
    layers = scan.layer_table.num_rows
    kernels = sum(scan.layer_table["n_kernels"].to_pylist())
    text = (
        f"{quantity(len(scan.model_names), 'model')} with {quantity(layers, 'layer')} and "
        f"{quantity(kernels, f'{size} kernel')}."
    )
    part = f"The scan has {quantity(totals['layers'], 'layer')} in all."
    why = [[part]] if layers < totals["layers"] else []
    yield Finding("Scanned", [text], [*why, [_statuses(scan.record["checkpoints"])]], "refused")


def _statuses(checkpoints: list[dict[str, Any]]) -> str:
    statuses = Counter(entry.get("status") for entry in checkpoints)
    counts = [f"{statuses[x]} {phrase}" for x, phrase in _STATUSES.items() if statuses[x]]
    in_all = f"{quantity(len(checkpoints), 'checkpoint')} in all"
    return f"{in_all}{': ' if counts else ''}{', '.join(counts)}."


_STATUSES = {
    "ok": "with such kernels",
    "partial": "read in part",
    "empty": "without",
    "refused": "refused",
    "failed": "failed to be read",
}


def _health(view: View) -> Findings:
    if not view.has_quality:
        missing = "The scan measured no quality, so that there are no verdicts."
        yield Finding("Health", [missing], [], "layers")
        return
    rows = view.scan.layer_table.to_pylist()
    totals = Counter(row["verdict"] for row in rows)
    worst = sorted((row for row in rows if class_of(row["verdict"]) == "bad"), key=_worst_first)
    why: list[Text] = [_layer(row) for row in worst[:WORST]]
    why += [[f"Of all layers, {_counts(totals)}."]]
    if not worst:
        text = [f"None of {quantity(len(rows), 'layer')} is bad."]
    else:
        verb = "is" if len(worst) == 1 else "are"
        share = f"{count(len(worst))} of {quantity(len(rows), 'layer')}"
        start = f"{share} {verb} bad ({len(worst) / len(rows):.0%}). The worst is "
        text = [start, [worst[0]["layer"]], " of ", [worst[0]["model"]], "."]
    yield Finding("Health", text, why, "quality")


def _layer(row: dict[str, Any]) -> Text:
    reason = f" is {row['verdict']}: {row['reason']}."
    return [[row["layer"]], " of ", [row["model"]], reason]


def _counts(totals: Counter[str]) -> str:
    return ", ".join(f"{count(totals[x])} are {x}" for x in VERDICTS if totals[x])


def _worst_first(row: dict[str, Any]) -> tuple:
    return VERDICTS.index(row["verdict"]), -(row["variance_entropy_ratio"] or 0), row["model"]


def _models(view: View) -> Findings:
    if len(view.scan.model_names) < 2:
        yield Finding("Models", ["There is one model: nothing to compare."], [], "models")
        return
    table = view.drift("model")
    pairs = sorted((x for x in table.pairs if not x.is_of_few_kernels), key=_value)
    small = len(table.pairs) - len(pairs)
    note: list[Text] = [[f"{_large(small, 'pair')} too few kernels."]] if small else []
    if not pairs:
        text = "No two models have enough kernels to compare them."
        yield Finding("Models", [text], note, "drift")
        return
    yield Finding("Closest models", _pair(pairs[0]), _evidence(pairs[0]), "drift")
    if len(pairs) > 1:
        yield Finding("Furthest models", _pair(pairs[-1]), [*_evidence(pairs[-1]), *note], "drift")


def _neighbors(view: View) -> Findings:
    """Say what the nearest model tells of task and data, where models have such labels."""
    labels = neighbor_labels(view.scan)
    if labels:
        is_better = all(x.by_drift > x.by_size for x in labels)
        text = "D finds the label of a model better than size alone does."
        if not is_better:
            text = "Take no label from the nearest model: size alone is no worse than D."
        why: list[Text] = [[_hits(x)] for x in labels]
        how = "Each family counts once, and its own models are left out."
        yield Finding("Nearest models", [text], [*why, [how]], "drift")


def _hits(labels: NeighborLabels) -> str:
    shares = (f"{x:.0%}" for x in (labels.by_drift, labels.by_size, labels.by_chance))
    return "By {}: {} are right by D, {} by size, {} by the most common label.".format(
        labels.axis.replace("_", " "), *shares
    )


def _large(number: int, noun: str) -> str:
    return f"{quantity(number, noun)} {'has' if number == 1 else 'have'}"


def _value(pair: Pair) -> float:
    return pair.value or 0


def _pair(pair: Pair) -> Text:
    return [[pair.first], " and ", [pair.second], f": D = {_value(pair):.3g} nats, {pair.label}."]


def _evidence(pair: Pair) -> list[Text]:
    """Return the sizes of both groups, the null of sampling, and the reason for no test."""
    first, second = pair.first_size.kernels, pair.second_size.kernels
    null = pair.sampling_null
    null_95 = "unknown" if null is None else f"{null.quantile95:.2g} nats"
    why: list[Text] = [
        [f"n = {count(first)} and {count(second)} kernels."],
        [f"The 95 % quantile of the sampling null is {null_95}."],
    ]
    return [*why, *([[f"{pair.reason[:1].upper()}{pair.reason[1:]}."]] if pair.reason else [])]


def _axes(view: View) -> Findings:
    """The axis of the largest D0 among those that people chose; models and verdicts are measured."""
    rows = [row for row in view.ranking.axes if row.axis not in ("model", "verdict")]
    if not rows:
        return
    top = rows[0]
    axes = "1 axis" if len(rows) == 1 else f"{len(rows)} axes"
    drift = (
        f" has the largest drift: median D = {top.median:.3g} nats between its {top.groups} groups."
    )
    text: Text = [f"Of {axes}, ", [top.axis], drift]
    first, second = top.furthest
    why: list[Text] = [
        ["The furthest are ", [first], " and ", [second], f": D = {top.maximum:.3g}."],
        [_tested(top)],
        *_surest(rows),
    ]
    yield Finding("Axes", text, why, "drift")


def _tested(row: AxisRow) -> str:
    units = f"{count(row.units)} units ({quantity(row.models, 'model')})"
    if row.p is None:
        return f"It has no p: {row.reason or 'none was asked for'}."
    relation = "more than" if row.p <= ALPHA else "not more than"
    return f"That is {relation} under labels permuted among {units}: p = {row.p:.2g}."


def _surest(rows: list[AxisRow]) -> Iterator[Text]:
    """Name the axes below the first that shift beyond their null."""
    for row in rows[1:]:
        if row.p is not None and row.p <= ALPHA:
            numbers = f"median D = {row.median:.3g}, p = {row.p:.2g}"
            yield [[row.axis], f" drifts more than under permuted labels too: {numbers}."]


def _sparse(view: View) -> Findings:
    if not view.has_quality:
        return
    rows = view.scan.model_table.to_pylist()
    sparse, kernels = (sum(row[name] for row in rows) for name in ("n_sparse", "n_kernels"))
    eps = view.scan.record["config"].get("sparse_eps", 0.01)
    share = f"{sparse / max(kernels, 1):.1%}"
    text = f"{count(sparse)} of {quantity(kernels, 'kernel')} ({share}) are sparse."
    limit = f"All weights of a sparse kernel are below {eps:.0%} of the largest of its layer."
    top = max(rows, key=lambda row: row["sparsity"] or 0)
    why: list[Text] = [[limit]]
    if top["n_sparse"]:
        of = f"{top['sparsity']:.1%} of n = {quantity(top['n_kernels'], 'kernel')}"
        why.append([[top["model"]], f" has the largest share: {of}."])
    yield Finding("Sparsity", [text], why, "quality")


def _basis(view: View) -> Findings:
    ratio, d = view.scan.basis.variance_ratio, view.scan.d
    first, three = float(ratio[0]), float(sum(ratio[:3]))
    text = f"The first of {d} components carries {first:.0%} of the variance of normalized kernels."
    why = f"The first three carry {three:.0%}; of kernels without structure each would carry {1 / d:.0%}."
    yield Finding("Structure", [text], [[why]], "basis")
