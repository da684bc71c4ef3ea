"""The record of one convolution beside its weight, in plain Python: no JAX is imported here."""

import dataclasses
from typing import Literal

DepthSource = Literal["graph", "registration-order", "name-order"]

Applied = Literal[
    "as stored", "masked", "weight-norm", "spectral-norm", "merged", "dequantized", "computed",
    "standardized", "unknown",
]  # fmt: skip
"""How the stored arrays of a layer become its effective weight, the one that the network applies."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """The record of one convolution beside its weight; static in every transformation.

    - `name`: as the checkpoint names the weight.
    - `depth`: the layer's rank among the convolutions of its network, from 0; `relative_depth` is the same
      scaled to 0..1, and `depth_source` says what the rank was read from.
    - `groups`: None where the checkpoint does not tell.
    - `transposed`: whether the layer is a transposed convolution.
    - `axes`, `dtype`: as stored in the checkpoint; the weight itself is always (out, in, *spatial).
    - `applied`: how the effective weight was made of what is stored.
    - `network`: the part of the checkpoint in which it lies.
    - `note`: the assumptions that had to be made about it.

    Raises ValueError for a negative depth, a relative depth outside 0..1, or fewer groups than 1.

    >>> layer = Layer("block.conv.weight", depth=3, relative_depth=0.5, groups=16)
    >>> layer.is_depthwise(in_channels=1)
    True
    """

    name: str
    depth: int = 0
    relative_depth: float = 0.0
    depth_source: DepthSource = "registration-order"
    groups: int | None = 1
    transposed: bool = False
    axes: str = "OIHW"
    dtype: str = "float32"
    applied: Applied = "as stored"
    network: str = ""
    note: str = ""

    def __post_init__(self):
        groups = 1 if self.groups is None else self.groups
        if not 0.0 <= self.relative_depth <= 1.0 or self.depth < 0 or groups < 1:
            raise ValueError(
                f"layer {self.name!r}: expected depth >= 0, relative_depth in 0..1 and groups >= 1, "
                f"got {self.depth}, {self.relative_depth} and {self.groups}"
            )

    def is_depthwise(self, in_channels: int) -> bool:
        """Return whether every group holds one input channel.

        **Arguments:**

        - `in_channels`: the second axis of the weight, which counts the input channels of one group.

        **Returns:** True for several groups of one channel each; False where the groups are not known, and
        for an ordinary convolution of a single input channel.

        >>> Layer("conv", groups=16).is_depthwise(1), Layer("conv", groups=1).is_depthwise(1)
        (True, False)
        """
        return self.groups is not None and self.groups > 1 and in_channels == 1
