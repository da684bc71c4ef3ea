"""What a graph says about each stored array: its axes, groups and depth, or why it is no kernel."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import NoReturn

import numpy as np

from ...errors import CheckpointError
from ...io import Location
from .._axes import for_rank
from .._stored import StoredArray
from ._operators import CONVOLUTIONS
from ._uses import Use, Uses


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about one stored array, as `StoredArray` has them.

    `shape` and `read` are set where the network arranges the array before it convolves with it. `missing`
    is the array of a weight that nothing is stored of.
    """

    axes: str | None = None
    groups: int | None = None
    transposed: bool | None = None
    depth: int | None = None
    reason: str | None = None
    note: str = ""
    is_computed: bool = False
    unread: bool = False
    shape: tuple[int, ...] | None = None
    read: Callable[[], np.ndarray] | None = None
    missing: StoredArray | None = None


def graph_facts(uses: Uses, path: Location) -> dict[Hashable, Facts]:
    """The facts about all arrays that a graph reads, by their keys."""
    facts: dict[Hashable, Facts] = {}
    for use in uses:
        if use.value is None:
            facts |= {key: new for key, new in _refused(use, path).items() if key not in facts}
        elif (first := use.keys[0]) not in facts:
            facts[first] = _of_use(use)
            part = Facts(reason="a part of a weight that another part stands for")
            facts |= {key: part for key in use.keys[1:] if key not in facts}
    for key, role in uses.roles():
        is_weight = role.startswith("a weight of ")
        facts.setdefault(key, Facts(reason=role, unread=is_weight))
    return facts


def _of_use(use: Use) -> Facts:
    convolution, value = CONVOLUTIONS[use.op], use.value
    if value is None:
        return Facts()
    rank = len(value.shape)
    # A convolution of one dimension is run as one of two.
    axes = for_rank(convolution.axes, rank) if rank in (3, 4, 5) else None
    return Facts(
        axes=axes,
        # A weight of one input channel would pass for depthwise, which TensorFlow has an operator for.
        groups=None if convolution.axes == "HWIM" else use.groups or 1,
        transposed=convolution.transposed,
        depth=use.depth,
        is_computed=value.is_computed,
        shape=value.shape,
        read=value.read,
    )


def _refused(use: Use, path: Location) -> dict[Hashable, Facts]:
    """The facts about what a weight that is not read is made of, or about the weight itself."""
    reason = f"weight of {use.op} {use.name}: {use.reason}"
    if use.keys:
        return {use.keys[0]: Facts(reason=reason, unread=True)}

    def read() -> NoReturn:
        raise CheckpointError(reason, path=path, tensor=use.name)

    missing = StoredArray(use.name, (), "unknown", read, reason=reason, unread=True)
    return {("missing", use.name): Facts(missing=missing)}
