"""The tensors of wide residual networks, and a population of them with a given number of kernels."""

import dataclasses
import functools
import math
from collections.abc import Iterator

import numpy as np

MODELS = 60
STEM = 16
WIDTHS = (
    96,
    128,
    160,
    192,
    224,
    256,
)  # the last stage has 4 times the channels: layers of some 40 MB
CLASSES = (10, 100, 200, 365, 1000)
SPREAD = 0.6  # of the logarithm of a model's share of the kernels

Tensor = tuple[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Network:
    """A wide residual network of three stages: channels of the first, blocks of each."""

    width: int
    blocks: int
    classes: int

    @property
    def name(self) -> str:
        """Depth and first width, as such networks are called."""
        return f"wrn-{6 * self.blocks + 4}-{self.width}"

    @functools.cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Names and shapes as PyTorch would store them, in the order of the modules."""
        return tuple(_tensors(self))

    @property
    def kernels(self) -> int:
        """3x3 kernels in all layers."""
        return sum(math.prod(shape[:2]) for _, shape in self.tensors if shape[2:] == (3, 3))


def population(kernels: int, rng: np.random.Generator) -> list[Network]:
    """Networks of varied width and depth with about so many kernels together."""
    shares = rng.lognormal(0, SPREAD, MODELS)
    networks, owed = [], 0.0
    for index, share in enumerate(shares / shares.sum()):
        target = share * kernels + owed
        classes = CLASSES[index % len(CLASSES)]
        networks.append(_of_size(target, WIDTHS[index % len(WIDTHS)], classes))
        # What one network misses, the next makes up for.
        owed = target - networks[-1].kernels
    return networks


def _of_size(kernels: float, width: int, classes: int) -> Network:
    """The network of about `width` that is nearest to a number of kernels; narrow ones are shallow."""
    blocks = max(1, round((kernels / width**2 - 31) / 42) + 1)
    near = math.isqrt(max(0, int(kernels)) // (42 * blocks - 11))
    candidates = [Network(w, blocks, classes) for w in range(max(1, near - 3), near + 3)]
    return min(candidates or [Network(1, 1, classes)], key=lambda n: abs(n.kernels - kernels))


def _tensors(network: Network) -> Iterator[Tensor]:
    channels = STEM
    yield "conv1.weight", (channels, 3, 3, 3)
    for stage in range(3):
        out = network.width << stage
        for block in range(network.blocks):
            yield from _block(f"layer{stage + 1}.{block}", channels, out)
            channels = out
    yield from _norm("bn", channels)
    yield "fc.weight", (network.classes, channels)
    yield "fc.bias", (network.classes,)


def _block(name: str, channels: int, out: int) -> Iterator[Tensor]:
    yield from _norm(f"{name}.bn1", channels)
    yield f"{name}.conv1.weight", (out, channels, 3, 3)
    yield from _norm(f"{name}.bn2", out)
    yield f"{name}.conv2.weight", (out, out, 3, 3)
    if channels != out:
        yield f"{name}.shortcut.weight", (out, channels, 1, 1)


def _norm(name: str, channels: int) -> Iterator[Tensor]:
    for vector in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{vector}", (channels,)
