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

    `axes` and `dtype` are as stored in the checkpoint; the weight itself is always (out, in, *spatial).
    `depth` is the layer's rank among the convolutions of its network, `relative_depth` the same scaled
    to 0..1, and `depth_source` says what the rank was read from. `groups` is None where the checkpoint
    does not tell. `applied` says how the effective weight was made of what is stored, `network` in which
    part of the checkpoint it lies, and `note` what had to be assumed about it.
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
        """Return whether every group holds one input channel; `in_channels` is the weight's second axis."""
        return self.groups is not None and self.groups > 1 and in_channels == 1
