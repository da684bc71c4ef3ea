"""Depth in a network that its file gives as a graph: the longest path from an input, in nodes."""

from collections import deque
from collections.abc import Collection, Sequence


def longest_paths(feeds: Sequence[Sequence[int]], inputs: Collection[int]) -> list[int] | None:
    """The longest path to each node from an input; 0 where none leads; None if there is a circle.

    `feeds` are, for each node, the nodes that it reads. Paths from constants count for nothing.
    """
    readers: list[list[int]] = [[] for _ in feeds]
    for node, sources in enumerate(feeds):
        for source in sources:
            readers[source].append(node)
    waiting = [len(sources) for sources in feeds]
    ready = deque(node for node, count in enumerate(waiting) if not count)
    depths = [-1] * len(feeds)
    for node in inputs:
        depths[node] = 0
    count = 0
    while ready:
        node = ready.popleft()
        count += 1
        for reader in readers[node]:
            if depths[node] >= 0:
                depths[reader] = max(depths[reader], depths[node] + 1)
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    return [max(depth, 0) for depth in depths] if count == len(feeds) else None
