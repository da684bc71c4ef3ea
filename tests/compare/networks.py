"""Small trained networks for comparisons: what is known to come from what, because it was made here."""

import copy
import functools

import numpy as np
import torch

Weights = dict[str, np.ndarray]

IMAGE = 12
_CLASSES = 4


def network(seed: int) -> torch.nn.Sequential:
    """Three convolutions and a head, freshly initialized."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 24, 3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(24, 32, 3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 32, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(_CLASSES),
    )


def train(
    net: torch.nn.Sequential, *, seed: int, steps: int, rate: float = 3e-3
) -> torch.nn.Sequential:
    """The network after some steps on gratings of as many directions as classes."""
    generator = torch.Generator().manual_seed(seed)
    net(torch.zeros(1, 3, IMAGE, IMAGE))
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(steps):
        images, labels = _gratings(generator)
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


@functools.cache
def family() -> dict[str, Weights]:
    """A network, one trained on from it, siblings from the same start, and a stranger.

    `near` and `near sibling` were trained from one start with small steps, so that they are hardly apart.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = network(0)
    net = train(copy.deepcopy(start), seed=1, steps=60)
    nets = {
        "net": net,
        "tuned": train(copy.deepcopy(net), seed=2, steps=15),
        "sibling": train(copy.deepcopy(start), seed=3, steps=60),
        "near": train(copy.deepcopy(start), seed=1, steps=60, rate=5e-4),
        "near sibling": train(copy.deepcopy(start), seed=3, steps=60, rate=5e-4),
        "other": train(network(1), seed=1, steps=60),
    }
    torch.set_num_threads(threads)
    return {name: _weights(net) for name, net in nets.items()}


def _weights(net: torch.nn.Module) -> Weights:
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def _gratings(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(_CLASSES, (32,), generator=generator)
    angle = (labels * torch.pi / _CLASSES)[:, None, None, None]
    phase = torch.rand((32, 3, 1, 1), generator=generator) * 6.28
    y, x = torch.meshgrid(torch.arange(IMAGE), torch.arange(IMAGE), indexing="ij")
    waves = torch.sin(x * torch.cos(angle) + y * torch.sin(angle) + phase)
    return waves + torch.randn((32, 3, IMAGE, IMAGE), generator=generator), labels
