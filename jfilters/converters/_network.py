"""Networks as users hold them: a path, `Kernels`, a module or parameters of any framework.

A path alone needs no JAX, so the readers of what is in memory are imported where they are used.
"""

from typing import Any

from ..io import is_path
from ._checkpoint import Checkpoint, open_checkpoint


def opened_network(
    value: Any,
    name: str,
    *,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
) -> Checkpoint:
    """Open a path, or a network in memory under a name; other arguments are those of `open_checkpoint`.

    Raises CheckpointError if it cannot be read, ValueError where it holds tracers.
    """
    if is_path(value):
        return open_checkpoint(value, axes=axes, network=network, standardize=standardize)
    from ._memory import MemoryNetwork

    opened = MemoryNetwork(name, value)
    return opened.open(axes=axes, network=network, standardize=standardize)
