"""Networks in Flax linen, written by an Orbax checkpoint manager."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from .._steps import Layer, Step, walk
from ._flax import FlaxModel, as_flax
from ._jax import ChannelsLast, convolve
from ._model import Weights


class Network(nn.Module):
    """A network of steps, on images (n, height, width, 1)."""

    steps: tuple[Step, ...]

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """The value after all steps."""
        return walk(self.steps, images, _Operations())


class _Operations(ChannelsLast):
    def conv(self, value: jax.Array, layer: Layer) -> jax.Array:
        conv = layer.conv
        return nn.Conv(
            conv.out,
            (conv.taps, conv.taps),
            conv.stride,
            padding=conv.taps // 2,
            feature_group_count=layer.groups,
            conv_general_dilated=convolve,
            name=layer.name,
        )(value)


class FrameworkModel(FlaxModel):
    """A linen network with its parameters."""

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "FrameworkModel":
        """The network with these weights."""
        return cls(Network(tuple(steps)), as_flax(weights))

    @staticmethod
    def apply(network: Network, params: Any, images: jax.Array) -> Any:
        """Numbers or images for images."""
        return network.apply({"params": params}, images)

    def tree(self) -> dict[str, Any]:
        """The parameters as linen nests them."""
        return {"params": self.params}
