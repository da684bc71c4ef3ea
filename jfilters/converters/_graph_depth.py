"""Depth in a network that its file gives as a graph: the longest path from an input, in layers."""

from collections import deque
from collections.abc import Sequence


def longest_paths(feeds: Sequence[Sequence[int]]) -> list[int] | None:
    """The longest path to each node from any that nothing feeds; None if there is a circle.

    `feeds` are, for each node, the nodes that it reads.
    """
    readers: list[list[int]] = [[] for _ in feeds]
    for node, sources in enumerate(feeds):
        for source in sources:
            readers[source].append(node)
    waiting = [len(sources) for sources in feeds]
    ready = deque(node for node, count in enumerate(waiting) if not count)
    depths, count = [0] * len(feeds), 0
    while ready:
        node = ready.popleft()
        count += 1
        for reader in readers[node]:
            depths[reader] = max(depths[reader], depths[node] + 1)
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return depths if count == len(feeds) else None
