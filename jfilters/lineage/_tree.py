"""The tree of a family: the spanning tree of trained networks, with copies and averages hung on it.

Training steps are nearly orthogonal, so that squared distances add along branches and the shortest
spanning tree is the right one, once copies and averages are set aside (METHOD, Lineage).
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.csgraph import minimum_spanning_tree

from ._soups import Soup

WITHOUT_PARTNER = 0.02
"""Length of an edge for each layer that has no partner."""


class Copy(NamedTuple):
    """A network made from another without training.

    `cue` says what shows which of both was made from the other; without it nobody knows.
    """

    source: int
    copy: int
    relation: str
    cue: str = ""

    @property
    def directed(self) -> bool:
        """Return whether it shows which of both is the copy."""
        return bool(self.cue)


class Descent(NamedTuple):
    """Evidence that a trained network was made from a copy or an average, and its label."""

    ancestor: int
    child: int
    cue: str


class Edge(NamedTuple):
    """One step of descent. Without `directed` the order of both says nothing; `cue` says what decided."""

    parent: int
    child: int
    relation: str
    directed: bool
    cue: str = ""

    def turned(self) -> "Edge":
        """Return the edge with its ends exchanged."""
        return self._replace(parent=self.child, child=self.parent)


TRAINED = "fine-tuned"
"""Relation of networks of which one was trained onward from the other, or both from a third."""


def grow(
    cosine: Float[np.ndarray, "m m"],
    unmatched: Int[np.ndarray, "m m"],
    copies: Iterable[Copy] = (),
    soups: Iterable[Soup] = (),
    descents: Iterable[Descent] = (),
    updates: Sequence[int | None] = (),
) -> list[Edge]:
    """Return the edges of one family, a tree but for the further parts of averages.

    Args:
        cosine: mean cosine of the matched kernels of all pairs.
        unmatched: layers of either network without a partner in the other.
        copies: pairs that are copies.
        soups: averages.
        descents: networks that were trained onward from a copy or from an average.
        updates: the training steps that each network's file counts; of equal networks the one with the
        fewest
            stands for the others.
    """
    n = len(cosine)
    lengths = 1 - cosine + WITHOUT_PARTNER * unmatched
    soups = list(soups)
    averages = {soup.network for soup in soups}
    steps = [math.inf if step is None else float(step) for step in updates or [None] * n]
    hung = _hang(lengths, copies, averages, steps)
    aside = {edge.child for edge in hung} | averages
    trained = [i for i in range(n) if i not in aside]
    branches = _branches(trained, lengths, descents, averages)
    younger = {child for children in branches.values() for child in children}
    edges = _spanning([i for i in trained if i not in younger], lengths)
    for ancestor, children in branches.items():
        edges += _branch(ancestor, children, lengths)
    return [
        *edges,
        *hung,
        *(
            Edge(part, soup.network, "soup", directed=True, cue="weighted mean")
            for soup in soups
            for part in soup.parts
        ),
    ]


def _branches(
    trained: Sequence[int],
    lengths: Float[np.ndarray, "m m"],
    descents: Iterable[Descent],
    averages: set[int],
) -> dict[int, dict[int, str]]:
    """Return for every copy and average that has children those, each with its cue.

    A child of an average is nearer to it than to every network that is no such child.
    """
    cues = {descent.child: descent for descent in descents}
    older = [i for i in trained if i not in cues]
    branches: dict[int, dict[int, str]] = {}
    for child, descent in cues.items():
        to_others = lengths[child, older].min(initial=np.inf)
        if descent.ancestor not in averages or lengths[child, descent.ancestor] < to_others:
            branches.setdefault(descent.ancestor, {})[child] = descent.cue
    return branches


def _branch(
    ancestor: int, children: dict[int, str], lengths: Float[np.ndarray, "m m"]
) -> list[Edge]:
    """Return the tree of a copy or an average and its children; edges at it lead away from it."""
    edges = []
    for edge in _spanning([ancestor, *children], lengths):
        if ancestor not in (edge.parent, edge.child):
            edges.append(edge)
            continue
        child = edge.child if edge.parent == ancestor else edge.parent
        edges.append(Edge(ancestor, child, TRAINED, directed=True, cue=children[child]))
    return edges


def _hang(
    lengths: Float[np.ndarray, "m m"],
    copies: Iterable[Copy],
    soups: set[int],
    steps: Sequence[float],
) -> list[Edge]:
    """Return an edge for every copy, from its nearest source that is no copy itself."""
    copies = [copy for copy in copies if copy.copy not in soups]
    directed = [copy for copy in copies if copy.directed]
    made = {copy.copy for copy in directed}
    same = [copy for copy in copies if not copy.directed]
    edges: dict[int, Edge] = {}
    for network in range(len(lengths)):
        sources = [c for c in directed if c.copy == network]
        originals = [c for c in sources if c.source not in made] or sources
        # Two copies of each other have no source: the earlier one stays.
        originals = [c for c in originals if not _leads_to(edges, c.source, network)]
        if originals:
            nearest = min(originals, key=lambda c: (lengths[c.source, network], c.source))
            edges[network] = Edge(nearest.source, network, nearest.relation, True, nearest.cue)
    for copy in sorted(same, key=lambda c: (c.source, c.copy)):
        ends = sorted((copy.source, copy.copy), key=lambda i: (steps[i], i))
        first, second = ends if ends[0] not in edges else ends[::-1]
        if second not in edges and not _leads_to(edges, first, second):
            edges[second] = Edge(first, second, copy.relation, False, "")
    return list(edges.values())


def _leads_to(edges: dict[int, Edge], network: int, ancestor: int) -> bool:
    while network in edges:
        network = edges[network].parent
        if network == ancestor:
            return True
    return False


def _spanning(members: Sequence[int], lengths: Float[np.ndarray, "m m"]) -> list[Edge]:
    """Return the shortest tree over some networks, without directions."""
    index = np.array(members, np.int64)
    pairs = spanning_pairs(lengths[np.ix_(index, index)])
    return [Edge(int(index[i]), int(index[j]), TRAINED, directed=False) for i, j in pairs]


def spanning_pairs(lengths: Float[np.ndarray, "m m"]) -> list[tuple[int, int]]:
    """Return the edges of the shortest spanning tree, the lower end of each first, in ascending order."""
    if len(lengths) < 2:
        return []
    upper = np.triu_indices(len(lengths), 1)
    # Zeros are no edges to SciPy, so that lengths begin at one; a tree depends on their order alone.
    weights = np.zeros_like(lengths, np.float64)
    weights[upper] = np.argsort(np.argsort(lengths[upper], kind="stable")) + 1
    tree = minimum_spanning_tree(weights).tocoo()
    return sorted((int(i), int(j)) for i, j in zip(tree.row, tree.col, strict=True))
