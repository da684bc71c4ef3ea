"""Accuracy of small trained networks before and after the kernels that `quality` names are set to zero.

`python -m benchmarks.pruning --out results/pruning`: networks with BatchNorm on pictures of ten classes
that are made from a seed, trained on the CPU without and with penalties that make kernels vanish. No data
set is needed, and no weights are kept.
"""

import argparse
import itertools
import json
import platform
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jfilters.questions import sparse_kernels

SIZE, CLASSES, BATCH = 16, 10, 64
STEPS = 400
PENALTIES = {"plain": (0.0, 0.0), "slim": (1e-2, 0.0), "lasso": (0.0, 2e-3)}
"""On the absolute scales of BatchNorm (network slimming, Liu et al. 2017, arXiv:1708.06519), and on the
lengths of kernels (group lasso)."""

DECAY = 5e-4
"""Of weights."""

Masks = Mapping[str, np.ndarray]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.pruning", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/pruning"))
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    rows = [
        measured(seed, name) for seed, name in itertools.product(range(chosen.seeds), PENALTIES)
    ]
    chosen.out.mkdir(parents=True, exist_ok=True)
    record = {"settings": settings(), "rows": rows}
    (chosen.out / "pruning.json").write_text(json.dumps(record, indent=1) + "\n")
    (chosen.out / "pruning.md").write_text(text(rows))


def measured(seed: int, name: str, steps: int = STEPS) -> dict[str, Any]:
    """Train one network, and return its accuracy with no kernel, the named and other kernels zeroed."""
    torch.manual_seed(seed)
    pictures = Pictures(seed)
    net = network()
    train(net, pictures, PENALTIES[name], steps)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(net.state_dict(), Path(folder) / "net.pt")
        layers = list(sparse_kernels(Path(folder) / "net.pt"))
    named = {layer.layer: layer.is_sparse for layer in layers}
    channels = {
        name: np.tile(mask.all(axis=1, keepdims=True), mask.shape[1])
        for name, mask in named.items()
    }
    kernels = sum(x.size for x in named.values())
    return {
        "network": name,
        "seed": seed,
        "kernels": kernels,
        "named": share(named, kernels),
        "in_channels": share(channels, kernels),
        "accuracy": accuracy(net, pictures),
        "named_zeroed": accuracy(zeroed(net, named), pictures),
        "others_zeroed": accuracy(zeroed(net, others(named, seed)), pictures),
    }


class Pictures:
    """Ten smooth pictures, moved and noisy: batches without end, and a set to test on."""

    def __init__(self, seed: int):
        self._random = torch.Generator().manual_seed(seed)
        coarse = torch.randn(CLASSES, 1, 6, 6, generator=self._random)
        self._classes = torch.nn.functional.interpolate(coarse, size=SIZE, mode="bicubic")
        self.test = self.batch(2_000)

    def batch(self, n: int = BATCH) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pictures and their classes."""
        labels = torch.randint(CLASSES, (n,), generator=self._random)
        moves = torch.randint(-2, 3, (n, 2), generator=self._random).tolist()
        moved = [
            torch.roll(self._classes[label], tuple(move), (1, 2))
            for label, move in zip(labels.tolist(), moves, strict=True)
        ]
        noise = torch.randn(n, 1, SIZE, SIZE, generator=self._random)
        return torch.stack(moved) + 1.2 * noise, labels


def network() -> torch.nn.Sequential:
    """Three convolutions, each with its BatchNorm."""
    widths = (1, 16, 32, 32)
    blocks: list[torch.nn.Module] = []
    for inner, outer in itertools.pairwise(widths):
        blocks += [torch.nn.Conv2d(inner, outer, 3, padding=1, bias=False)]
        blocks += [torch.nn.BatchNorm2d(outer), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    return torch.nn.Sequential(*blocks, torch.nn.Flatten(), torch.nn.Linear(128, CLASSES))


def train(
    net: torch.nn.Sequential, pictures: Pictures, penalties: tuple[float, float], steps: int
) -> None:
    """Train in place, with penalties on the scales of the norms and on the lengths of kernels."""
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch, labels = pictures.batch()
        scales = sum(x.weight.abs().sum() for x in of_kind(net, torch.nn.BatchNorm2d))
        lengths = sum(x.weight.norm(dim=(2, 3)).sum() for x in of_kind(net, torch.nn.Conv2d))
        loss = torch.nn.functional.cross_entropy(net(batch), labels)
        loss = loss + penalties[0] * scales + penalties[1] * lengths
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def of_kind(net: torch.nn.Sequential, kind: type) -> Iterator[Any]:
    """The layers of one kind."""
    return (layer for layer in net if isinstance(layer, kind))


def accuracy(net: torch.nn.Module, pictures: Pictures) -> float:
    """The share of test pictures that get their class."""
    net.eval()
    pixels, labels = pictures.test
    with torch.no_grad():
        return float((net(pixels).argmax(1) == labels).float().mean())


def zeroed(net: torch.nn.Sequential, masks: Masks) -> torch.nn.Sequential:
    """A copy of the network with the kernels of the masks set to zero."""
    state = {name: value.clone() for name, value in net.state_dict().items()}
    for name, mask in masks.items():
        state[name][torch.from_numpy(mask)] = 0
    copy = network()
    copy.load_state_dict(state)
    return copy


def others(masks: Masks, seed: int) -> Masks:
    """As many kernels of each layer, drawn from those that are not in the masks."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, mask in masks.items():
        free = np.flatnonzero(~mask)
        drawn[name] = np.zeros(mask.shape, bool)
        drawn[name].flat[rng.choice(free, min(int(mask.sum()), len(free)), replace=False)] = True
    return drawn


def share(masks: Masks, kernels: int) -> float:
    """The kernels of the masks over all."""
    return sum(int(mask.sum()) for mask in masks.values()) / kernels


def settings() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "steps": STEPS,
        "batch": BATCH,
        "weight_decay": DECAY,
        "penalties": PENALTIES,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def text(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    head = (
        "network",
        "seed",
        "named",
        "in whole channels",
        "accuracy",
        "named zeroed",
        "others zeroed",
    )
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for row in rows:
        shares = [f"{row[name]:.1%}" for name in ("named", "in_channels")]
        accuracies = [f"{row[name]:.3f}" for name in ("accuracy", "named_zeroed", "others_zeroed")]
        cells = [row["network"], str(row["seed"]), *shares, *accuracies]
        lines.append("| " + " | ".join(cells) + " |")
    return _HEAD + "\n".join(lines) + "\n"


_HEAD = """# Accuracy after the kernels that `quality` names are zeroed

Networks of three convolutions with BatchNorm, 1,552 kernels, trained on synthetic pictures of ten classes:
`plain`, `slim` with a penalty on the scales of BatchNorm, and `lasso` with one on the lengths of kernels.
Named are kernels that are sparse with BatchNorm folded in, by `jfilters.questions.sparse_kernels`; some
lie in output channels that are sparse as a whole, which a dense file can leave out. Others are as many
kernels of each layer that are not named, drawn at random. Accuracy is that on 2,000 pictures,
without training after.

`python -m benchmarks.pruning` wrote this; pruning.json has versions and settings.

"""


if __name__ == "__main__":
    main()
