"""The trees of a forest as lists of models: each model after the one that it is shown below.

Terminal, page and figure show the same lists. A tree that is too deep for them goes on in one of its own.
"""

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from ..questions import Family, Forest, LineageEdge

DEEPEST = 8
"""Steps below a root; deeper models are shown in a tree of their own."""

SOUP = "soup"
"""Relation of an average to one of its parts."""

_FROM = {
    "identical": "identical to",
    SOUP: "averaged from",
    "sub-network": "sub-network of",
    "unknown": "descends from",
}
"""Directed relations whose phrase before the name of the parent is not "<relation> from"."""

_OPEN = {
    "identical": "identical",
    "fine-tuned": "fine-tuned, or both from a common ancestor",
    "common ancestor": "common ancestor, which may be the initialization",
    "unknown": "kin, relation unknown",
}
"""Relations without a direction whose words are not "<relation>, one from the other"."""


@dataclasses.dataclass(frozen=True)
class Branch:
    """A model in the tree of its family.

    - `model`: its name; `depth`: steps below the root.
    - `above`, `edge`: the model that it is shown below, and the edge between both; None for a root.
    - `parts`: the models of which it is the average.
    - `further`: edges to the model that no tree has room for.
    - `is_continued`: a root that was shown before, in a tree that was too deep.
    """

    model: str
    depth: int = 0
    above: str | None = None
    edge: LineageEdge | None = None
    parts: tuple[str, ...] = ()
    further: tuple[LineageEdge, ...] = ()
    is_continued: bool = False


def branches(forest: Forest, family: Family, *, deepest: int = DEEPEST) -> list[Branch]:
    """Return the trees of a family, each from its root: models without parents, then all others."""
    edges = forest.of_family(family)
    neighbors = _neighbors(family, edges)
    placed: set[str] = set()
    trees: list[Branch] = []
    for root in _roots(family, edges):
        if root not in placed:
            trees += _grown(root, neighbors, placed, deepest)
    into: dict[str, list[LineageEdge]] = {}
    for edge in edges:
        into.setdefault(edge.child, []).append(edge)
    shown = {id(branch.edge) for branch in trees}
    return [_completed(branch, into, shown) for branch in trees]


def relation_words(edge: LineageEdge) -> str:
    """Return the relation of an edge in words that need no name."""
    if not edge.directed:
        return _OPEN.get(edge.relation, f"{edge.relation}, one from the other")
    words = {SOUP: "averaged", "unknown": "descends, relation unknown"}
    return words.get(edge.relation, edge.relation)


def mark(edge: LineageEdge | None) -> str:
    """Return the sign of an edge without a direction, before the name of the lower model.

    "~": neither was made from the other; "?": nothing shows which of both was first.
    """
    if edge is None or edge.directed:
        return ""
    return "~" if edge.relation == "common ancestor" else "?"


def phrase(branch: Branch, edge: LineageEdge) -> str:
    """Return the relation of a model as a phrase with the names of the models that it came from."""
    if not edge.directed:
        return relation_words(edge)
    if edge.relation == SOUP:
        return f"{_FROM[SOUP]} {', '.join(branch.parts)}"
    return f"{_FROM.get(edge.relation, f'{edge.relation} from')} {edge.parent}"


Neighbors = dict[str, list[tuple[LineageEdge, str]]]


def _neighbors(family: Family, edges: Sequence[LineageEdge]) -> Neighbors:
    """Return for every model its children, and those to which an edge without direction leads."""
    neighbors: Neighbors = {model: [] for model in family.models}
    for edge in edges:
        neighbors[edge.parent].append((edge, edge.child))
        if not edge.directed:
            neighbors[edge.child].append((edge, edge.parent))
    return neighbors


def _roots(family: Family, edges: Sequence[LineageEdge]) -> list[str]:
    """Return the models from which trees grow: those without parents, those with children first."""
    children = {edge.child for edge in edges if edge.directed}
    parents = {edge.parent for edge in edges if edge.directed}
    return sorted(family.models, key=lambda model: (model in children, model not in parents))


def _grown(root: str, neighbors: Neighbors, placed: set[str], deepest: int) -> Iterator[Branch]:
    """Return the tree of a root, depth first, and the trees that continue it. Not by recursion: a
    family may be a chain of hundreds."""
    roots = deque([Branch(root)])
    while roots:
        stack = [roots.popleft()]
        while stack:
            branch = stack.pop()
            if branch.model in placed and not branch.is_continued:
                continue
            placed.add(branch.model)
            yield branch
            below = [x for x in neighbors[branch.model] if x[1] not in placed]
            if below and branch.depth == deepest:
                roots.append(Branch(branch.model, is_continued=True))
                continue
            stack += [
                Branch(model, branch.depth + 1, branch.model, edge)
                for edge, model in reversed(below)
            ]


def _completed(branch: Branch, into: Mapping[str, list[LineageEdge]], shown: set[int]) -> Branch:
    """Return a branch with the parts of its average, and with the edges to it that are not shown."""
    if branch.is_continued:
        return branch
    edges = into.get(branch.model, [])
    parts = tuple(edge.parent for edge in edges if edge.relation == SOUP)
    further = [x for x in edges if id(x) not in shown and (x.relation != SOUP or not branch.depth)]
    return dataclasses.replace(branch, parts=parts, further=tuple(further))
