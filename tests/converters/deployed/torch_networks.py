"""The tiny networks in torch, for the scripts that write the files beside them."""

import torch
from torch import nn

from .networks import GROUPS, NETWORKS, weight

_RANKS = {"one": 1, "two": 2, "three": 3}


class Network(nn.Module):
    """The layers of one of `NETWORKS` in a row, with a PReLU and a dense layer in that of 2 axes."""

    def __init__(self, name: str):
        super().__init__()
        rank = _RANKS[name]
        plain, transposed = (getattr(nn, f"Conv{kind}{rank}d") for kind in ("", "Transpose"))
        for layer, shape in NETWORKS[name].items():
            groups = GROUPS.get(layer, 1)
            is_up = layer.startswith("up")
            channels = (shape[0], shape[1] * groups) if is_up else (shape[1] * groups, shape[0])
            module = (transposed if is_up else plain)(*channels, shape[2:], groups=groups)
            module.weight = nn.Parameter(torch.from_numpy(weight(name, layer)))
            self.add_module(layer, module)
        if name == "two":
            self.act, self.dense = nn.PReLU(8), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All layers in a row."""
        for name, module in self.named_children():
            if name == "act":
                continue
            x = module(x.mean((2, 3)) if name == "dense" else x)
            if name == "conv" and hasattr(self, "act"):
                x = self.act(x)
        return x


def network(name: str) -> tuple[Network, torch.Tensor]:
    """A network of this name and an input for it."""
    torch.manual_seed(0)
    shape = {"one": (40,), "two": (12, 12), "three": (8, 8, 8)}[name]
    return Network(name).eval(), torch.rand(1, 3, *shape)
