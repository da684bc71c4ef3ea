"""The forest of a scan: as trees for a terminal, and as a graph for Graphviz."""

import json
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from ..questions import Family, Forest, LayerChanges, LineageEdge
from ._cells import count, number, plain_table, quantity

WORDS = {
    "fine-tuned": "fine-tuned",
    "soup": "averaged from",
    "common ancestor": "common ancestor, which may be the initialization",
}
"""Relations that read better in other words than the names in JSON."""

OPEN = "fine-tuned, or both from a common ancestor"

SHOWN = 8
"""Names of models without kin that are shown; further ones are counted."""


def lineage_text(forest: Forest, *, most: int = 20) -> RenderableType:
    """Return the trees of the `most` largest families, then the models without kin, then the limits."""
    parts: list[RenderableType] = [Text(_headline(forest))]
    for family in forest.families[:most]:
        parts += ["", *_trees(forest, family)]
    if len(forest.families) > most:
        more = len(forest.families) - most
        parts += [
            "",
            Text(f"{quantity(more, 'further family').replace('familys', 'families')}", "dim"),
        ]
    return Group(*parts, *_alone(forest), *_limits(forest))


def changes_text(changes: LayerChanges) -> RenderableType:
    """Return a table of the layers of every edge: what moved, and what was frozen."""
    parts: list[RenderableType] = []
    for edge in changes.edges:
        if edge.layers:
            arrow = "->" if edge.directed else "--"
            table = plain_table()
            table.add_column("layer", overflow="fold", ratio=1)
            for heading in ("differ", "rel", "cos", "D"):
                table.add_column(heading, justify="right", no_wrap=True)
            for layer in edge.layers:
                table.add_row(
                    Text(layer.layer),
                    Text("frozen", "green") if layer.frozen else f"{layer.changed:.1%}",
                    number(layer.relative_change, 3),
                    number(layer.cosine, 4),
                    number(layer.drift, 4),
                )
            parts += [Text(f"{edge.parent} {arrow} {edge.child}", "bold"), table, ""]
    parts.append(Text(_LEGEND if parts else "no edge whose weights were read", "dim"))
    return Group(*parts)


_LEGEND = (
    "differ: share of weights that differ; rel: length of the change over that of the weights; cos: mean "
    "cosine of the kernels; D: drift, nats; large layers are sampled"
)


def dot_text(forest: Forest) -> str:
    """Return the forest as a graph in the language of Graphviz; edges without direction have no arrow."""
    lines = ["digraph lineage {", "  rankdir=LR; node [shape=box, fontname=Helvetica];"]
    for family in forest.families:
        lines += [f"  {_quoted(model)};" for model in family.models]
    for edge in forest.edges:
        label = _quoted(_relation(edge))
        arrow = "" if edge.directed else ", dir=none, style=dashed"
        lines.append(f"  {_quoted(edge.parent)} -> {_quoted(edge.child)} [label={label}{arrow}];")
    return "\n".join([*lines, "}", ""])


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _relation(edge: LineageEdge) -> str:
    if edge.relation == "fine-tuned" and not edge.directed:
        return OPEN
    return WORDS.get(edge.relation, edge.relation)


def _headline(forest: Forest) -> str:
    models = sum(len(family.models) for family in forest.families)
    total = models + len(forest.strangers)
    families = len(forest.families)
    noun = "family" if families == 1 else "families"
    return (
        f"{families} {noun} of kin with {count(models)} of {quantity(total, 'model')}; "
        f"{quantity(forest.alarm.pairs, 'pair')} tested, kin from z {forest.alarm.z:.1f}: "
        f"one false link in {1 / forest.alarm.chance:.0f} such collections"
    )


def _trees(forest: Forest, family: Family) -> Iterator[RenderableType]:
    link = (
        "" if family.z is None else f", weakest link: cosine {family.cosine:.3f}, z {family.z:.1f}"
    )
    yield Text(f"family of {len(family.models)}{link}", "bold")
    edges = forest.of_family(family)
    placed: set[str] = set()
    for model in _roots(family, edges):
        if model not in placed:
            tree = Tree(Text(model), guide_style="dim")
            _grow(tree, model, edges, placed)
            yield tree


def _roots(family: Family, edges: list[LineageEdge]) -> list[str]:
    """Return the models from which trees grow: those without parents, those with children first."""
    children = {edge.child for edge in edges if edge.directed}
    parents = {edge.parent for edge in edges if edge.directed}
    return sorted(family.models, key=lambda model: (model in children, model not in parents))


def _grow(tree: Tree, model: str, edges: list[LineageEdge], placed: set[str]) -> None:
    placed.add(model)
    for edge in edges:
        other = _other_end(edge, model)
        if other is not None and other not in placed:
            _grow(tree.add(_branch(edge, other, edges)), other, edges, placed)


def _other_end(edge: LineageEdge, model: str) -> str | None:
    if edge.parent == model:
        return edge.child
    return edge.parent if edge.child == model and not edge.directed else None


def _branch(edge: LineageEdge, model: str, edges: list[LineageEdge]) -> Text:
    parts = [other.parent for other in edges if other.child == model and other.relation == "soup"]
    relation = f"averaged from {', '.join(parts)}" if edge.relation == "soup" else _relation(edge)
    mark = "" if edge.directed else "? "
    text = Text.assemble(mark, model, ("  " + relation, "cyan" if edge.directed else "yellow"))
    numbers = f"cosine {edge.cosine:.3f}" + (f"; {edge.evidence}" if edge.evidence else "")
    return text.append(f"\n{numbers}", "dim")


def _alone(forest: Forest) -> Iterator[RenderableType]:
    if not forest.strangers:
        return
    names = ", ".join(forest.strangers[:SHOWN])
    more = (
        f" and {count(len(forest.strangers) - SHOWN)} more" if len(forest.strangers) > SHOWN else ""
    )
    yield ""
    yield Text(f"no kinship found: {names}{more}")
    if forest.smallest is not None:
        yield Text(f"kin of cosine {forest.smallest:.3f} or more would have been seen", "dim")
    if forest.incomparable:
        share = ", ".join(forest.incomparable[:SHOWN])
        yield Text(f"cannot be compared, no layer of one shape with another model: {share}", "dim")


def _limits(forest: Forest) -> Iterator[RenderableType]:
    if any(not edge.directed for edge in forest.edges):
        yield Text("?: nothing shows which of both was first", "dim")
    if forest.unread:
        models = quantity(len(forest.unread), "model")
        yield Text(f"weights of {models} were not read: relations unknown", "yellow")
    yield from (Text(note, "dim") for note in forest.notes)
