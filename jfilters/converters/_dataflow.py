"""Graphs of operators, whatever the format: the longest path to every node."""

from collections.abc import Sequence


def longest_paths(
    feeds: Sequence[Sequence[int]], starts: Sequence[int], costs: Sequence[int] | None = None
) -> list[int] | None:
    """The longest path, in nodes, that ends in each node; -1 for a node that no start leads to.

    **Arguments:**

    - `feeds`: for each node the nodes whose results it reads.
    - `starts`: the nodes that read an input of the network.
    - `costs`: the length that each node adds to a path, by default 1.

    **Returns:** the lengths, None for a graph with a cycle.
    """
    readers: list[list[int]] = [[] for _ in feeds]
    for node, makers in enumerate(feeds):
        for maker in makers:
            readers[maker].append(node)
    waiting, lengths = list(map(len, feeds)), [-1] * len(feeds)
    for node in starts:
        lengths[node] = 0
    # Kahn's order: a node is done when all that it reads is.
    ready = [node for node, count in enumerate(waiting) if not count]
    for node in ready:
        if lengths[node] >= 0:
            lengths[node] += costs[node] if costs else 1
        for reader in readers[node]:
            lengths[reader] = max(lengths[reader], lengths[node])
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return lengths if len(ready) == len(feeds) else None
