"""Directions of the edges of a family: the cues that tell them, and what follows from those.

A cue answers or abstains. In a tree a network has one parent: once a network is known as a child, every
other edge at it leads away (METHOD, Lineage).
"""

from collections import Counter, deque
from collections.abc import Sequence

from ._tree import TRAINED, Edge

COUNTERS = "training steps that BatchNorm counted"
FOLLOWS = "follows from its neighbors"
CONFLICT = "counters and the tree disagree"
MANY = "parent of most of its neighbors"

_OPEN = ("soup", "common ancestor")

MANY_NEIGHBORS = 10
"""Neighbors from which a network is the parent of most; of m neighbors at least m - 1 are children."""


def orient(edges: Sequence[Edge], updates: Sequence[int | None]) -> list[Edge]:
    """Return the edges with the directions that the cues tell: certain ones first, then counters.

    Copies and averages point by themselves; edges between relatives of a common ancestor never do. Where
    counters make one network the child of two, its edges stay open.

    Args:
        edges: those of one family.
        updates: the training steps that each network's file counts; None where it counts none.
    """
    edges = _propagated(list(edges))
    edges = _without_conflicts([_counted(edge, updates) for edge in edges])
    return _propagated(_from_hubs(_propagated(edges)))


def _counted(edge: Edge, updates: Sequence[int | None]) -> Edge:
    first, second = updates[edge.parent], updates[edge.child]
    if edge.relation in _OPEN or first is None or second is None or first == second:
        return edge
    ordered = edge if first < second else edge.turned()
    if not edge.directed:
        return ordered._replace(directed=True, cue=COUNTERS)
    if ordered is edge or edge.cue != FOLLOWS:
        return edge
    return edge._replace(directed=False, cue=CONFLICT)


def _without_conflicts(edges: list[Edge]) -> list[Edge]:
    """Open the edges that counters point at a network with another parent."""
    parents = Counter(edge.child for edge in edges if edge.directed and edge.relation != "soup")
    return [
        edge._replace(directed=False, cue=CONFLICT)
        if edge.cue == COUNTERS and parents[edge.child] > 1
        else edge
        for edge in edges
    ]


def _propagated(edges: list[Edge]) -> list[Edge]:
    """Point every open edge of training away from a network that is a child."""
    children = deque(edge.child for edge in edges if edge.directed and edge.relation != "soup")
    visited: set[int] = set()
    while children:
        child = children.popleft()
        if child in visited:
            continue
        visited.add(child)
        for i, edge in enumerate(edges):
            if _is_open(edge) and child in (edge.parent, edge.child):
                ordered = edge if edge.parent == child else edge.turned()
                edges[i] = ordered._replace(directed=True, cue=FOLLOWS)
                children.append(edges[i].child)
    return edges


def _from_hubs(edges: list[Edge]) -> list[Edge]:
    """Point the open edges at a network of many neighbors away from it."""
    trained = [edge for edge in edges if edge.relation == TRAINED]
    degrees = Counter(end for edge in trained for end in (edge.parent, edge.child))
    return [_from_hub(edge, degrees) for edge in edges]


def _from_hub(edge: Edge, degrees: Counter[int]) -> Edge:
    hub = max((edge.parent, edge.child), key=lambda end: degrees[end])
    if not _is_open(edge) or degrees[hub] < MANY_NEIGHBORS:
        return edge
    ordered = edge if edge.parent == hub else edge.turned()
    return ordered._replace(directed=True, cue=MANY)


def _is_open(edge: Edge) -> bool:
    return not edge.directed and edge.relation == TRAINED and edge.cue != CONFLICT
