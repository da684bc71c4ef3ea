"""The evidence of an edge: one line of numbers, and what changed layer by layer."""

from collections.abc import Mapping, Sequence

from ...compare import Comparison, MatchedLayer
from ...lineage.internal import Edge, Soup
from ._forest import LayerChange


def evidence_line(
    edge: Edge,
    comparison: Comparison | None,
    changes: Sequence[LayerChange],
    updates: Sequence[int | None],
    soup: Soup | None,
) -> str:
    """Return the numbers behind a relation and its direction, as phrases between semicolons."""
    phrases = []
    if comparison is not None:
        phrases += _of_weights(edge, comparison, changes)
    if soup is not None:
        shares = dict(zip(soup.parts, soup.shares, strict=True))
        phrases.append(f"share {shares[edge.parent]:.2f}; residual {soup.residual:.1%}")
    phrases += _of_counters(edge, updates)
    if edge.cue:
        phrases.append(edge.cue if edge.directed else f"no direction: {edge.cue}")
    return "; ".join(dict.fromkeys(phrases))


def layer_changes(
    comparison: Comparison,
    facts: Sequence[tuple[int, bool]],
    drifts: Mapping[tuple[str, str], float],
    *,
    turned: bool,
) -> tuple[LayerChange, ...]:
    """Return what changed between the matched layers of two networks, from parent to child.

    Args:
        comparison: the first network and the second.
        facts: for each of its layers the kernels of all of it, and whether all weights are equal.
        drifts: D by the names of both layers.
        turned: the second network is the parent.
    """
    return tuple(
        _change(layer, *fact, drifts, turned=turned)
        for layer, fact in zip(comparison.layers, facts, strict=True)
    )


def _change(
    layer: MatchedLayer,
    n_kernels: int,
    frozen: bool,
    drifts: Mapping[tuple[str, str], float],
    *,
    turned: bool,
) -> LayerChange:
    difference, cosine = layer.difference, layer.similarity.mean
    ends = (layer.second, layer.first) if turned else (layer.first, layer.second)
    return LayerChange(
        *ends,
        n_kernels,
        frozen,
        difference.changed / difference.n if difference.n else 0.0,
        difference.distance / difference.norm if difference.norm else None,
        cosine if cosine == cosine else None,
        drifts.get(ends),
    )


def _of_weights(edge: Edge, comparison: Comparison, changes: Sequence[LayerChange]) -> list[str]:
    layers = comparison.layers
    weights = sum(layer.difference.n for layer in layers)
    changed = sum(layer.difference.changed for layer in layers)
    phrases = [f"{changed / max(weights, 1):.1%} of the weights differ"]
    frozen = sum(change.frozen for change in changes)
    if frozen and changed:
        phrases.append(f"{frozen} of {len(changes)} layers are equal")
    grids = [grid for layer in layers for grid in layer.grids if grid is not None]
    if edge.relation == "quantized" and grids:
        scope = "an output channel" if any(grid.per_channel for grid in grids) else "a layer"
        phrases.append(f"a grid of {max(grid.levels for grid in grids)} steps for {scope}")
    if edge.relation == "pruned":
        zeroed = max(
            sum(layer.difference.zeroed_first for layer in layers),
            sum(layer.difference.zeroed_second for layer in layers),
        )
        phrases.append(f"{zeroed / max(weights, 1):.0%} zeros in one alone")
    if edge.relation == "re-saved" and (types := {x.rounding for x in layers if x.rounding}):
        phrases.append(f"rounding: {', '.join(sorted(types))}")
    ranks = [layer.change_rank for layer in layers if layer.rounding is None]
    if ranks and all(rank is not None for rank in ranks):
        phrases.append(f"the change has rank {max(rank or 0 for rank in ranks)} at most")
    if any(layer.reordered for layer in layers):
        phrases.append("channels in another order")
    return phrases


def _of_counters(edge: Edge, updates: Sequence[int | None]) -> list[str]:
    before, after = updates[edge.parent], updates[edge.child]
    if before is None or after is None:
        return []
    sign = "<" if before < after else "=" if before == after else ">"
    return [f"counted steps {before} {sign} {after}"]
