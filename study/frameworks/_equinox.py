"""Networks in Equinox, written as leaves after one line of JSON that says what they are of."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._steps import Layer, Step, layers, walk
from .._tasks import Examples
from ._jax import ChannelsLast, Trainable, convolve
from ._model import Plan, Weights


class Network(eqx.Module):
    """A network of steps, on images (n, height, width, 1)."""

    convs: tuple[eqx.nn.Conv2d, ...]
    steps: tuple[Step, ...] = eqx.field(static=True)

    def __call__(self, images: jax.Array) -> jax.Array:
        """The value after all steps."""
        named = [layer.name for layer in layers(self.steps)]
        return walk(self.steps, images, _Operations(dict(zip(named, self.convs, strict=True))))


def _conv(layer: Layer, weight: np.ndarray, bias: np.ndarray) -> eqx.nn.Conv2d:
    conv, key = layer.conv, jax.random.key(0)
    shaped = eqx.filter_eval_shape(
        eqx.nn.Conv2d,
        *(layer.inputs, conv.out, conv.taps, conv.stride, conv.taps // 2),
        groups=layer.groups,
        key=key,
    )
    values = (jnp.asarray(weight), jnp.asarray(bias[:, None, None]))
    return eqx.tree_at(lambda made: (made.weight, made.bias), shaped, values)


class _Operations(ChannelsLast):
    def __init__(self, convs: dict[str, eqx.nn.Conv2d]):
        self.convs = convs

    def conv(self, value: jax.Array, layer: Layer) -> jax.Array:
        """Channels last like the others, where `eqx.nn.Conv2d` wants them first and one image."""
        conv = self.convs[layer.name]
        kernel = conv.weight.transpose(2, 3, 1, 0)
        axes = jax.lax.conv_dimension_numbers(value.shape, kernel.shape, ("NHWC", "HWIO", "NHWC"))
        same = {"dimension_numbers": axes, "feature_group_count": conv.groups}
        return convolve(value, kernel, conv.stride, conv.padding, **same) + jnp.asarray(
            conv.bias
        ).reshape(1, 1, 1, -1)


@dataclasses.dataclass(frozen=True)
class FrameworkModel:
    """An Equinox module: all its leaves are parameters."""

    network: Network

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "FrameworkModel":
        """The network with these weights."""
        convs = tuple(_conv(layer, *weights[layer.name]) for layer in layers(steps))
        return cls(Network(convs, tuple(steps)))

    def train(
        self, batches: Iterator[Examples], plan: Plan
    ) -> Iterator[tuple[int, "FrameworkModel"]]:
        """The model at every step that is kept."""
        for step, network in self._trainable.train(batches, plan):
            yield step, FrameworkModel(network)

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Numbers or images for images."""
        return self._trainable.outputs(images)

    def write(self, folder: Path, step: int, format: str) -> Path:
        """Write one file a step."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"step_{step}.eqx"
        header = {"run": folder.name, "step": step, "layers": len(self.network.convs)}
        with path.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            eqx.tree_serialise_leaves(file, self.network)
        return path

    @property
    def _trainable(self) -> Trainable:
        return Trainable(None, self.network, _apply)


def _apply(nothing: None, network: Network, images: jax.Array) -> jax.Array:
    """All that is no array is static in the module itself."""
    return network(images)
