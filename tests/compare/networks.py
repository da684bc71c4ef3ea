"""Small trained networks for comparisons: what is known to come from what, because it was made here."""

import torch

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


def _gratings(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(_CLASSES, (32,), generator=generator)
    angle = (labels * torch.pi / _CLASSES)[:, None, None, None]
    phase = torch.rand((32, 3, 1, 1), generator=generator) * 6.28
    y, x = torch.meshgrid(torch.arange(IMAGE), torch.arange(IMAGE), indexing="ij")
    waves = torch.sin(x * torch.cos(angle) + y * torch.sin(angle) + phase)
    return waves + torch.randn((32, 3, IMAGE, IMAGE), generator=generator), labels
