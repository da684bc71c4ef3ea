"""The networks whose kinship is asked: names, layers and sketches, as arrays and without any file."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64

from ._sketches import Sketches

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Networks:
    """Some networks and all their layers, those of a network one after the other in depth order.

    - `names`: of the networks.
    - `layers`, `shapes`: the name and the shape (out, in, *spatial) of every layer.
    - `owner`: the place of every layer's network in `names`, ascending.
    - `sums`: of every layer the sum of absolute weights, their Euclidean length, and the largest one.
    - `sketches`: those of the layers.
    """

    names: Sequence[str]
    layers: Sequence[str]
    shapes: Sequence[Shape]
    owner: Int64[np.ndarray, " layers"]
    sums: Float[np.ndarray, "layers 3"]
    sketches: Sketches

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def bounds(self) -> Int64[np.ndarray, " networks_1"]:
        """First layer of every network, and the end of the last."""
        return np.searchsorted(self.owner, np.arange(len(self.names) + 1))

    def places(self, network: int) -> range:
        """Return the layers of a network."""
        return range(int(self.bounds[network]), int(self.bounds[network + 1]))

    @functools.cached_property
    def architectures(self) -> dict[tuple[tuple[str, Shape], ...], list[int]]:
        """The networks by the names and shapes of all their layers."""
        groups: dict[tuple[tuple[str, Shape], ...], list[int]] = {}
        for network in range(len(self)):
            layers = tuple((self.layers[i], self.shapes[i]) for i in self.places(network))
            groups.setdefault(layers, []).append(network)
        return groups
