"""One part of a checkpoint by its name: an average instead of the weights, one of several networks."""

from collections.abc import Sequence

from ..errors import CheckpointError, did_you_mean
from ._copies import Copies
from ._names import parts, qualified
from ._reasons import Reasons
from ._stored import StoredArray

_MOST_NAMES = 8


def lies_in(array: StoredArray, network: str) -> bool:
    """Return whether the components of a network's name follow each other in the name of an array."""
    path, prefix = parts(qualified(array)), parts(network)
    return any(path[at : at + len(prefix)] == prefix for at in range(len(path)))


def outside(
    arrays: Sequence[StoredArray],
    reasons: Reasons,
    network: str,
    copies: Copies,
    *,
    is_elsewhere: bool,
) -> Reasons:
    """The reason for every weight that does not lie in a network.

    Raises CheckpointError if there is none of that name, here or elsewhere in the checkpoint.
    """
    weights = [index for index in range(len(arrays)) if index not in reasons]
    excluded = [index for index in weights if not lies_in(arrays[index], network)]
    if len(excluded) == len(weights) and not is_elsewhere:
        names = {*copies.networks.values(), *(arrays[index].network for index in weights)} - {""}
        listed = ", ".join(sorted(names)[:_MOST_NAMES]) or "one network without a name"
        hint = did_you_mean(network, names)
        raise CheckpointError(f"no network called {network!r}; it holds: {listed}{hint}")
    return dict.fromkeys(excluded, f"not of the network {network}")
