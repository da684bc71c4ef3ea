"""Rules on the lineage of a scan: layers that are frozen since the parent, and models of one descent.

Nothing passes in silence: a model whose parent or weights are not known breaks a rule unless the rule says
otherwise, and the reason says what is missing.
"""

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..errors import unknown_choice
from ..scans import Scan
from ._outcomes import Break, Outcome, models_of
from ._rules import Rule
from .lineage import Forest, LayerChange, LineageEdge

SAME = ("identical", "re-saved")
"""Relations of networks that count as one: without a direction, descent passes both ways."""

APART = "common ancestor"
"""Relation of networks of which neither is the parent."""

_Step = tuple[str, LineageEdge]


def frozen_outcome(scan: Scan, rule: Rule, forest: Forest) -> Outcome:
    """Check that layers of every model are equal, bit for bit, to those of its parent.

    An edge without direction is looked at from both of its ends, since equality has none. A model that has
    children alone is the start of its family, and the rule is not about it.
    """
    layers = _layer_names(scan)
    models, broken, checked = [], [], 0
    for model in models_of(scan, rule):
        if _is_root(forest, model):
            continue
        names = [
            x for x in layers.get(model, ()) if any(fnmatch.fnmatchcase(x, p) for p in rule.frozen)
        ]
        edges = _edges_into(forest, model)
        models.append(model)
        missing = _missing(rule, forest, model, names, edges)
        checked += 1 if missing else len(names)
        if missing:
            broken += [missing] if rule.unknown == "fail" else []
        else:
            broken += [x for edge in edges for x in _thawed(model, edge, names)]
    return Outcome(rule, tuple(models), checked, tuple(broken))


def descent_outcome(scan: Scan, rule: Rule, forest: Forest) -> Outcome:
    """Check that every model but the ancestor itself is below it in the forest.

    Edges are followed from parents to children, and either way between networks that are one.
    """
    ancestor = rule.descends_from or ""
    if ancestor not in scan.model_names:
        raise ValueError(unknown_choice("a model of the scan", ancestor, scan.model_names))
    models = [model for model in models_of(scan, rule) if model != ancestor]
    below = _reached(forest, ancestor, _downward)
    open_paths = _reached(forest, ancestor, _not_upward)
    broken = []
    for model in models:
        if model in below:
            continue
        if model not in open_paths:
            broken.append(_not_below(forest, ancestor, model))
        elif rule.unknown == "fail":
            broken.append(_undirected(ancestor, model, open_paths))
    return Outcome(rule, tuple(models), len(models), tuple(broken))


def _layer_names(scan: Scan) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    columns = (scan.layer_table[name].to_pylist() for name in ("model", "layer"))
    for model, layer in zip(*columns, strict=True):
        names.setdefault(model, []).append(layer)
    return names


def _is_root(forest: Forest, model: str) -> bool:
    edges = [edge for edge in forest.edges if model in (edge.parent, edge.child)]
    return bool(edges) and all(edge.directed and edge.parent == model for edge in edges)


def _edges_into(forest: Forest, model: str) -> list[LineageEdge]:
    """Return the edges from the parents; without any, those that have no direction."""
    directed = [edge for edge in forest.edges if edge.directed and edge.child == model]
    return directed or [
        edge
        for edge in forest.edges
        if not edge.directed and edge.relation != APART and model in (edge.parent, edge.child)
    ]


def _missing(
    rule: Rule, forest: Forest, model: str, names: Sequence[str], edges: Sequence[LineageEdge]
) -> Break | None:
    """Return the reason for which it is unknown whether the layers of a model are frozen."""
    if not edges:
        reason = _without_parent(forest, model)
    elif not names:
        reason = f"no layer matches {' or '.join(rule.frozen)}"
    elif unread := [_other_end(edge, model) for edge in edges if not edge.layers]:
        reason = f"the weights of it or of {unread[0]} could not be read"
    else:
        return None
    return Break(model, None, f"unknown: {reason}", {"parent": None})


def _without_parent(forest: Forest, model: str) -> str:
    if model in forest.strangers:
        return f"no parent in this scan: {_no_kinship(forest, model)}"
    return "no parent in this scan, only kin by a common ancestor"


def _no_kinship(forest: Forest, model: str) -> str:
    if model in forest.incomparable:
        return "no other model has a layer of one of its shapes"
    if forest.smallest is None:
        return "no kinship found"
    return f"no kinship found, and kin of cosine {forest.smallest:.2g} would have been seen"


def _thawed(model: str, edge: LineageEdge, names: Iterable[str]) -> Iterator[Break]:
    """The layers of a model that differ from those at the other end of an edge, or have no partner."""
    other = _other_end(edge, model)
    changes = {_own_name(edge, change, model): change for change in edge.layers}
    for name in names:
        change = changes.get(name) or changes.get(f"{model.rpartition('/')[2]}/{name}")
        if change is None:
            reason = f"no layer of {other} matches it"
            yield Break(model, name, reason, {"parent": other, "changed": None, "cosine": None})
        elif not change.frozen:
            values = {"parent": other, "changed": change.changed, "cosine": change.cosine}
            yield Break(model, name, _difference(edge, change, other), values)


def _difference(edge: LineageEdge, change: LayerChange, other: str) -> str:
    share = f"{change.changed:.1%}" if change.changed >= 0.001 else "fewer than 0.1%"
    cosine = "" if change.cosine is None else f", cosine {change.cosine:.4f}"
    note = "" if edge.directed else "; nothing shows which of both was first"
    return f"{share} of the weights differ from those of {other}{cosine}{note}"


def _own_name(edge: LineageEdge, change: LayerChange, model: str) -> str:
    return change.other if model == edge.child else change.layer


def _other_end(edge: LineageEdge, model: str) -> str:
    return edge.parent if model == edge.child else edge.child


def _reached(
    forest: Forest, start: str, may_pass: Callable[[LineageEdge, str], bool]
) -> dict[str, _Step | None]:
    """Return the models that edges lead to, each with the model and the edge before it."""
    steps: dict[str, _Step | None] = {start: None}
    queue = [start]
    for model in queue:
        for edge in forest.edges:
            other = _other_end(edge, model)
            if model in (edge.parent, edge.child) and other not in steps and may_pass(edge, model):
                steps[other] = model, edge
                queue.append(other)
    return steps


def _downward(edge: LineageEdge, start: str) -> bool:
    return edge.parent == start if edge.directed else edge.relation in SAME


def _not_upward(edge: LineageEdge, start: str) -> bool:
    return edge.parent == start if edge.directed else edge.relation != APART


def _undirected(ancestor: str, model: str, steps: dict[str, _Step | None]) -> Break:
    path = list(_path(model, steps))
    edge = next(x for x in path if not x.directed and x.relation not in SAME)
    reason = (
        f"kin, but the direction cannot be told: nothing shows which of {edge.parent} and {edge.child} "
        f"was first{_numbers(path[0])}"
    )
    return Break(model, None, reason, _values(ancestor, path[0]))


def _path(model: str, steps: dict[str, _Step | None]) -> Iterator[LineageEdge]:
    """The edges from a model back to the start."""
    step = steps[model]
    while step is not None:
        model, edge = step
        yield edge
        step = steps[model]


def _not_below(forest: Forest, ancestor: str, model: str) -> Break:
    steps = _reached(forest, model, lambda edge, start: True)
    if ancestor not in steps:
        reason = f"not kin of {ancestor}: {_no_kinship(forest, model)}"
        if model not in forest.strangers:
            reason = f"not kin of {ancestor}, but of other models"
        values = {"ancestor": ancestor, "smallest_cosine": forest.smallest}
        return Break(model, None, reason, values)
    edge = list(_path(ancestor, steps))[-1]
    is_older = ancestor in _reached(forest, model, _downward)
    reason = f"{ancestor} was made from it" if is_older else "only by a common ancestor"
    return Break(model, None, f"kin, but {reason}{_numbers(edge)}", _values(ancestor, edge))


def _numbers(edge: LineageEdge) -> str:
    return f"; {edge.relation} {edge.parent} and {edge.child}, cosine {edge.cosine:.3f}, z {edge.z:.0f}"


def _values(ancestor: str, edge: LineageEdge) -> dict[str, Any]:
    return {
        "ancestor": ancestor,
        "relation": edge.relation,
        "directed": edge.directed,
        "cosine": edge.cosine,
        "z": edge.z,
    }
