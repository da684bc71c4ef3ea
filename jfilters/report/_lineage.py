"""The forest of a scan: as trees for a terminal, and as a graph for Graphviz."""

import json
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from ..errors import printable
from ..questions import Family, Forest, LayerChanges, LineageEdge
from ._cells import count, number, plain_table, quantity
from ._trees import SOUP, Branch, branches, mark, phrase, relation_words

MARKS = {
    "~": "neither was made from the other",
    "?": "nothing shows which of both was first",
}
"""Meanings of the signs before models to which an edge without a direction leads."""


def lineage_text(forest: Forest, *, most: int = 20) -> RenderableType:
    """Return the trees of the `most` largest families, then the models without kin, then the limits."""
    parts: list[RenderableType] = [Text(line) for line in headline(forest)]
    for family in forest.families[:most]:
        parts += ["", Text(family_words(family), "bold"), *_trees(branches(forest, family))]
    if len(forest.families) > most:
        more = len(forest.families) - most
        noun = "family" if more == 1 else "families"
        parts += ["", Text(f"and {count(more)} smaller {noun}; --most shows more", "dim")]
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
        label = _quoted(relation_words(edge))
        arrow = "" if edge.directed else ", dir=none, style=dashed"
        lines.append(f"  {_quoted(edge.parent)} -> {_quoted(edge.child)} [label={label}{arrow}];")
    return "\n".join([*lines, "}", ""])


def _quoted(name: str) -> str:
    return json.dumps(printable(name), ensure_ascii=False)


def headline(forest: Forest) -> list[str]:
    """Return in two sentences the number of families, and from which z on two models are kin."""
    related = sum(len(family.models) for family in forest.families)
    total = quantity(related + len(forest.strangers), "model")
    families = len(forest.families)
    if not families:
        first = f"No kin among {total}."
    else:
        noun = "family" if families == 1 else "families"
        first = f"{count(families)} {noun} with {count(related)} of {total}."
    if not forest.alarm.pairs:
        return [first]
    collections = f"{1 / forest.alarm.chance:.0f}"
    pairs = f"{quantity(forest.alarm.pairs, 'pair')} tested"
    limit = f"kin from z = {forest.alarm.z:.1f} on, for one false link in {collections} such collections"
    return [first, f"{pairs}; {limit}."]


def family_words(family: Family) -> str:
    """Return the size of a family and its weakest link, as a heading."""
    if family.cosine is None:
        link = "weakest link: shared kernels, equal sums or weights alone"
    else:
        link = f"weakest link: cosine {family.cosine:.3f}, z {family.z:.1f}"
    return f"family of {count(len(family.models))}, {link}"


def numbers(edge: LineageEdge) -> str:
    """Return the cosine of an edge and its evidence in one line."""
    return f"cosine {edge.cosine:.3f}" + (f"; {edge.evidence}" if edge.evidence else "")


def _trees(trees: Iterable[Branch]) -> Iterator[Tree]:
    """Return one tree for each root."""
    path: list[Tree] = []
    for branch in trees:
        if branch.depth == 0:
            path = [Tree(_line(branch), guide_style="dim")]
            yield path[0]
        else:
            path[branch.depth :] = [path[branch.depth - 1].add(_line(branch))]


def _line(branch: Branch) -> Text:
    edge = branch.edge
    text = Text(f"{mark(edge)} ".lstrip(), overflow="fold")
    text.append(printable(branch.model))
    if branch.is_continued:
        text.append("  continued", "dim")
    if edge is not None:
        words = phrase(branch, edge) if edge.relation == SOUP else relation_words(edge)
        text.append(f"  {printable(words)}", "cyan" if edge.directed else "yellow")
        text.append(f"\n{numbers(edge)}", "dim")
    for more in branch.further:
        text.append(f"\nalso {printable(phrase(branch, more))}: {numbers(more)}", "dim")
    return text


class _Names:
    """Names in one line, as many as the terminal has room for; further ones are counted."""

    def __init__(self, title: str, names: Sequence[str]):
        self._title, self._names = title, [printable(name) for name in names]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        shown = len(self._names)
        while shown and cell_len(self._text(shown)) > options.max_width:
            shown -= 1
        yield Text(self._text(shown), overflow="fold")

    def _text(self, shown: int) -> str:
        if not shown:
            return f"{self._title}: {count(len(self._names))}"
        more = len(self._names) - shown
        names = ", ".join(self._names[:shown])
        return f"{self._title}: {names}{f' and {count(more)} more' if more else ''}"


def _alone(forest: Forest) -> Iterator[RenderableType]:
    if not forest.strangers:
        return
    yield ""
    yield _Names("no kin found", forest.strangers)
    if forest.smallest is not None:
        yield Text(smallest_words(forest.smallest), "dim")
    if forest.incomparable:
        yield Text("without a layer of the same shape in any other model, so not compared:", "dim")
        yield _Names("  not compared", forest.incomparable)


def smallest_words(cosine: float) -> str:
    """Return the smallest cosine that would have been called kin, as a sentence."""
    return f"kin with a cosine of {cosine:.3f} or more would have been found"


def _limits(forest: Forest) -> Iterator[RenderableType]:
    if forest.unread:
        models = quantity(len(forest.unread), "model")
        yield Text(f"weights of {models} were not read: relations unknown", "yellow")
    if forest.edges:
        yield Text(f"\n{_MEANING}", "dim")
    marks = {mark(edge) for edge in forest.edges}
    yield from (Text(f"{sign}: {words}", "dim") for sign, words in MARKS.items() if sign in marks)
    yield from (Text(note, "dim") for note in forest.notes)


_MEANING = (
    "below a model is what was made from it; cosine: of the kernels of both, 1 for equal ones and near 0 "
    "for strangers; z: its distance from that of strangers, in their standard deviations"
)
