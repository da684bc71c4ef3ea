"""Networks in Flax NNX, written by an Orbax checkpoint manager."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from .._steps import Layer, Step, layers, walk
from ._flax import FlaxModel, as_flax
from ._jax import ChannelsLast, convolve
from ._model import Weights


class Network(nnx.Module):
    """A network of steps, on images (n, height, width, 1)."""

    def __init__(self, steps: Sequence[Step], weights: Weights):
        self.steps = tuple(steps)
        values = as_flax(weights)
        for layer in layers(steps):
            setattr(self, layer.name, _conv(layer, values[layer.name]))

    def __call__(self, images: jax.Array) -> jax.Array:
        """The value after all steps."""
        return walk(self.steps, images, _Operations(self))


def _conv(layer: Layer, values: dict[str, Any]) -> nnx.Conv:
    conv = layer.conv
    return nnx.Conv(
        layer.inputs,
        conv.out,
        (conv.taps, conv.taps),
        conv.stride,
        padding=conv.taps // 2,
        feature_group_count=layer.groups,
        conv_general_dilated=convolve,
        kernel_init=lambda key, shape, dtype: values["kernel"].astype(dtype),
        bias_init=lambda key, shape, dtype: values["bias"].astype(dtype),
        rngs=nnx.Rngs(0),
    )


class _Operations(ChannelsLast):
    def __init__(self, network: Network):
        self.network = network

    def conv(self, value: jax.Array, layer: Layer) -> jax.Array:
        return getattr(self.network, layer.name)(value)


class FrameworkModel(FlaxModel):
    """An NNX network as its graph and its parameters."""

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "FrameworkModel":
        """The network with these weights."""
        graph, params = nnx.split(Network(steps, weights), nnx.Param)
        return cls(graph, params)

    @staticmethod
    def apply(network: nnx.GraphDef, params: nnx.State, images: jax.Array) -> jax.Array:
        """Numbers or images for images."""
        return nnx.merge(network, params)(images)

    def tree(self) -> Any:
        """The parameters as a plain dict."""
        return nnx.to_pure_dict(self.params)
