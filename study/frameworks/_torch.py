"""Networks in PyTorch, written by torch.save, by safetensors, or as an ONNX graph."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .._steps import UNFOLDING, Layer, Step, layers, walk
from .._tasks import Examples, Loss
from ._model import Plan, Weights

LOSSES: dict[Loss, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cross-entropy": lambda outputs, targets: functional.cross_entropy(outputs, targets.long()),
    "squares": functional.mse_loss,
    "binary-cross-entropy": functional.binary_cross_entropy_with_logits,
}


class Network(torch.nn.Module):
    """A network of steps, on images (n, 1, height, width)."""

    def __init__(self, steps: Sequence[Step], weights: Weights):
        super().__init__()
        self.steps = tuple(steps)
        for layer in layers(steps):
            self.add_module(layer.name, _conv(layer, *weights[layer.name]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The value after all steps."""
        return walk(self.steps, images, _Operations(self))


def _conv(layer: Layer, weight: np.ndarray, bias: np.ndarray) -> torch.nn.Conv2d:
    conv = layer.conv
    made = torch.nn.Conv2d(
        *(layer.inputs, conv.out, conv.taps, conv.stride, conv.taps // 2), groups=layer.groups
    )
    values = {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}
    made.load_state_dict(values)
    return made


class _Operations:
    def __init__(self, network: Network):
        self.network = network

    def conv(self, value: torch.Tensor, layer: Layer) -> torch.Tensor:
        return self.network.get_submodule(layer.name)(value)

    def relu(self, value: torch.Tensor) -> torch.Tensor:
        return torch.relu(value)

    def add(self, value: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        return value + kept

    def join(self, value: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        return torch.cat([functional.interpolate(value, scale_factor=2, mode="nearest"), kept], 1)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        return value.mean((2, 3), keepdim=True)

    def unfold(self, value: torch.Tensor) -> torch.Tensor:
        return functional.pixel_shuffle(value, UNFOLDING)


class FrameworkModel:
    """A PyTorch module, trained on one thread so that its weights are the same every time."""

    def __init__(self, network: Network):
        self.network = network

    @classmethod
    def build(cls, steps: Sequence[Step], weights: Weights) -> "FrameworkModel":
        """The network with these weights."""
        return cls(Network(steps, weights))

    def train(
        self, batches: Iterator[Examples], plan: Plan
    ) -> Iterator[tuple[int, "FrameworkModel"]]:
        """The model at every step that is kept; the model itself is left as it was."""
        torch.set_num_threads(1)
        network = copy.deepcopy(self.network)
        optimizer, schedule = _optimizer(network, plan)
        if 0 in plan.kept:
            yield 0, FrameworkModel(copy.deepcopy(network))
        for step, batch in zip(range(1, plan.steps + 1), batches, strict=True):
            optimizer.zero_grad()
            outputs = _flat(network, batch.inputs)
            LOSSES[plan.loss](outputs, torch.from_numpy(batch.targets)).backward()
            optimizer.step()
            schedule.step()
            if step in plan.kept:
                yield step, FrameworkModel(copy.deepcopy(network))

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Numbers or images for images."""
        with torch.no_grad():
            return _flat(self.network, images).numpy()

    def write(self, folder: Path, step: int, format: str) -> Path:
        """Write one file a step, in the format torch, safetensors or onnx."""
        folder.mkdir(parents=True, exist_ok=True)
        suffix, write = _WRITERS[format]
        path = folder / f"step_{step}{suffix}"
        write(self.network, path)
        return path


def _optimizer(network: Network, plan: Plan) -> tuple[Any, Any]:
    optimizer = torch.optim.AdamW(
        network.parameters(), plan.learning_rate, weight_decay=plan.weight_decay
    )

    def share(step: int) -> float:
        return (1 + math.cos(math.pi * step / plan.steps)) / 2

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _flat(network: Network, images: np.ndarray) -> torch.Tensor:
    """Without the axes that have one entry: the channel of an image, the pixel of a class."""
    outputs = network(torch.from_numpy(images)[:, None])
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, :, 0, 0]


def _write_torch(network: Network, path: Path):
    torch.save(network.state_dict(), path)


def _write_safetensors(network: Network, path: Path):
    from safetensors.torch import save_file

    save_file(network.state_dict(), path, metadata={"format": "pt"})


def _write_onnx(network: Network, path: Path):
    from ._onnx import write_graph

    values = {name: value.numpy() for name, value in network.state_dict().items()}
    write_graph(network.steps, values, path)


_WRITERS = {
    "torch": (".pt", _write_torch),
    "safetensors": (".safetensors", _write_safetensors),
    "onnx": (".onnx", _write_onnx),
}
