"""Depth in a network that its file gives as a graph: the longest path from an input, in nodes."""

from collections.abc import Collection, Hashable, Sequence


def longest_paths(
    feeds: Sequence[Sequence[int]], starts: Collection[int], costs: Sequence[int] | None = None
) -> list[int] | None:
    """The longest path, in nodes, that ends in each node; -1 for a node that no start leads to.

    **Arguments:**

    - `feeds`: for each node the nodes whose results it reads. Paths from constants count for nothing.
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


def node_depths(feeds: Sequence[Sequence[int]], inputs: Collection[int]) -> list[int] | None:
    """The longest path to each node behind one of `inputs`, which have 0; 0 where none leads.

    None for a graph with a cycle.
    """
    lengths = longest_paths(feeds, inputs)
    return lengths and [max(length - 1, 0) for length in lengths]


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
