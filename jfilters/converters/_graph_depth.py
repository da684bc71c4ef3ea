"""Depth in a network that its file gives as a graph: the longest path from an input, in nodes."""

from collections import deque
from collections.abc import Collection, Hashable, Sequence


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


def feeds_by_name(
    reads: Sequence[Sequence[Hashable]], makes: Sequence[Sequence[Hashable]]
) -> list[list[int]]:
    """The nodes that each node reads, by the names of what nodes read and make.

    Where several make one name, as layers do that write over what they read, the last one before counts.
    """
    makers = {name: node for node, names in enumerate(makes) for name in names}
    latest: dict[Hashable, int] = {}
    feeds = []
    for node, names in enumerate(reads):
        sources = (latest.get(name, makers[name]) for name in names if name in makers)
        # What writes over an input of the network reads no layer.
        feeds.append([source for source in sources if source != node])
        latest |= dict.fromkeys(makes[node], node)
    return feeds
