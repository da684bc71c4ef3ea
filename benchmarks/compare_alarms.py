"""How often does `compare` give each verdict to networks that have nothing to do with each other?

`python -m benchmarks.compare_alarms --families FILE` compares pairs of three kinds of
strangers: real networks of different families, networks made here with random weights, and small networks
trained here from different seeds. Some of the made and trained ones are rounded, pruned, cut or scaled, so
that every verdict has a chance to be wrong. false_alarms.json and false_alarms.md go to results/compare/.
"""

import argparse
import csv
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from scipy.stats import beta

from jfilters.compare import RELATIONSHIPS, Side
from jfilters.compare.internal import ReadableLayer, compare_layers
from jfilters.converters import open_checkpoint
from jfilters.layers import Layer

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "compare"
PACKAGES = ("numpy", "torch")
STRANGERS = ("trained apart", "unrelated")
LARGEST = 12_000_000
"""Bytes of a real checkpoint that is compared: larger ones take most of the time and add few pairs."""

ARCHITECTURES: dict[str, tuple[tuple[int, ...], ...]] = {
    "plain": ((32, 3, 3, 3), (48, 32, 3, 3), (64, 48, 3, 3), (64, 64, 3, 3)),
    "tiny": ((8, 3, 3, 3), (8, 8, 3, 3), (8, 8, 3, 3)),
    "depthwise": ((32, 3, 3, 3), (32, 1, 3, 3), (64, 1, 3, 3), (96, 1, 5, 5)),
    "wide": ((64, 3, 7, 7), (128, 64, 3, 3), (128, 128, 3, 3)),
}

DEPENDENT = (
    "Pairs with a network in common are not independent, and real networks of one family still less, so "
    "that the true bounds are wider."
)

Weights = dict[str, np.ndarray]
Change = Callable[[np.random.Generator, np.ndarray], np.ndarray]


class MadeLayer(NamedTuple):
    """A layer in memory."""

    name: str
    weight: np.ndarray

    @property
    def layer(self) -> Layer:
        """The record of the layer."""
        return Layer(self.name, depth_source="name-order")

    @property
    def qualified(self) -> Layer:
        """The same record."""
        return self.layer

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        return self.weight.shape

    def read(self) -> np.ndarray:
        """Return the weight."""
        return self.weight


class Network(NamedTuple):
    """The layers of a network, and what it is a stranger to: networks of other families."""

    name: str
    family: str
    layers: Sequence[ReadableLayer]
    side: Side


class HeldLayer:
    """A stored layer whose weight stays in memory."""

    def __init__(self, stored: ReadableLayer):
        self.layer, self.qualified, self.shape = stored.layer, stored.qualified, stored.shape
        self._weight = stored.read()

    def read(self) -> np.ndarray:
        """Return the weight."""
        return self._weight


def main(arguments: list[str] | None = None) -> None:
    """Compare all pairs of strangers, and write the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.compare_alarms", description=__doc__)
    parser.add_argument("--families", type=Path, help="a table: file, family, axes")
    parser.add_argument("--made", type=int, default=60, help="random networks of each architecture")
    parser.add_argument("--trained", type=int, default=40, help="trained networks")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    sources: dict[str, list[Network]] = {
        "random": list(made(options.made)),
        "trained": list(trained(options.trained)),
    }
    if options.families:
        sources = {"real": list(real(options.families)), **sources}
    counts = {name: verdicts(networks) for name, networks in sources.items()}
    about = {
        "networks": {name: len(networks) for name, networks in sources.items()},
        "families": {name: len({x.family for x in networks}) for name, networks in sources.items()},
        "seconds": round(time.perf_counter() - start),
        "machine": machine(PACKAGES),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    record = {**about, "pairs": {name: dict(count) for name, count in counts.items()}}
    (options.out / "false_alarms.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "false_alarms.md").write_text(markdown(counts, about))


def verdicts(networks: Sequence[Network]) -> Counter[str]:
    """Return how often each verdict is given to pairs of strangers that have a layer to compare."""
    counts: Counter[str] = Counter()
    for a, b in itertools.combinations(networks, 2):
        if a.family == b.family:
            continue
        comparison = compare_layers(a.layers, b.layers, (a.side, b.side), reshaped=True)
        if comparison.layers:
            counts[comparison.relation.label] += 1
            if comparison.relation.label not in STRANGERS:
                print(
                    a.name,
                    b.name,
                    comparison.relation.label,
                    *comparison.relation.reasons,
                    sep="; ",
                )
    return counts


def real(families: Path) -> Iterator[Network]:
    """Yield the networks of a table of files and families."""
    with families.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if Path(row["file"]).stat().st_size <= LARGEST]
    for row in rows:
        checkpoint = open_checkpoint(row["file"], axes=row.get("axes") or None)
        layers = [HeldLayer(layer) for layer in checkpoint.layers]
        yield network(Path(row["file"]).name, row["family"], layers)


def made(count: int, seed: int = 0) -> Iterator[Network]:
    """Yield networks with random weights, smooth kernels in every second one; each is a family."""
    for place, (name, shapes) in enumerate(ARCHITECTURES.items()):
        for index in range(count):
            rng = np.random.default_rng([seed, place, index])
            weights = {
                f"{i}.weight": _random(rng, s, smooth=index % 2 > 0) for i, s in enumerate(shapes)
            }
            yield _changed(f"{name} {index}", rng, weights, list(CHANGES)[index % len(CHANGES)])


def trained(count: int, seed: int = 0) -> Iterator[Network]:
    """Yield networks of two widths trained from different seeds on one task; each is a family."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        widths = (24, 32, 32) if index % 2 else (16, 24, 32)
        weights = train(widths, seed=seed + index)
        yield _changed(f"trained {index}", rng, weights, list(CHANGES)[index // 2 % len(CHANGES)])


def train(widths: Sequence[int], *, seed: int, steps: int = 60) -> Weights:
    """Return the kernels of a small network after some steps on gratings of four directions."""
    import torch

    torch.manual_seed(seed)
    sizes = zip((3, *widths), widths, strict=False)
    parts = [x for a, b in sizes for x in (torch.nn.Conv2d(a, b, 3), torch.nn.ReLU())]
    net = torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.LazyLinear(4))
    net(torch.zeros(1, 3, 12, 12))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(steps):
        images, labels = _gratings()
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: x.numpy().copy() for name, x in net.state_dict().items() if x.ndim == 4}


def network(name: str, family: str, layers: Sequence[ReadableLayer]) -> Network:
    """Return the network of some layers."""
    kernels = sum(layer.shape[0] * layer.shape[1] for layer in layers)
    return Network(name, family, layers, Side(name, "memory", len(layers), kernels))


def markdown(counts: dict[str, Counter[str]], about: dict) -> str:
    """Return the table of verdicts on strangers, with the bound on the rate of each."""
    sizes = {name: sum(count.values()) for name, count in counts.items()}
    head = " | ".join(f"{name} ({size:,} pairs)" for name, size in sizes.items())
    lines = [
        "# How often compare is wrong about strangers",
        "",
        "Pairs of networks of different families that have a layer to compare, and the verdicts that they "
        "get. *random*: random weights, half of them smooth. *trained*: trained from different seeds on "
        "one task. Of both, some are rounded, pruned, cut or scaled. *real*: public networks. The last "
        "column is the upper end of the one-sided 95 % interval of the rate over all pairs.",
        "",
        f"| verdict | {head} | rate below |",
        f"|---|{'---:|' * len(counts)}---:|",
    ]
    total = sum(sizes.values())
    for label in RELATIONSHIPS:
        cells = " | ".join(f"{count[label]:,}" for count in counts.values())
        bound = (
            ""
            if label in STRANGERS
            else f"{upper(sum(c[label] for c in counts.values()), total):.2%}"
        )
        lines.append(f"| {label} | {cells} | {bound} |")
    networks = ", ".join(f"{n} {name}" for name, n in about["networks"].items())
    families = about["families"].get("real")
    real_families = f" The real ones are of {families} families." if families else ""
    lines += ["", f"{networks} networks, {about['seconds']} s.{real_families} {DEPENDENT}", ""]
    return "\n".join(lines)


def upper(count: int, total: int) -> float:
    """Return the upper end of the one-sided 95 % interval of a rate, by Clopper and Pearson."""
    return float(beta.ppf(0.95, count + 1, total - count)) if count < total else 1.0


def _changed(name: str, rng: np.random.Generator, weights: Weights, change: str) -> Network:
    layers = [
        MadeLayer(key, np.ascontiguousarray(CHANGES[change](rng, w), np.float32))
        for key, w in weights.items()
    ]
    return network(f"{name} {change}", name, layers)


def _random(rng: np.random.Generator, shape: tuple[int, ...], *, smooth: bool) -> np.ndarray:
    weight = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    return weight.cumsum(axis=-1).cumsum(axis=-2) / 3 if smooth else weight


def _cut(rng: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    out, inner = ((3 * n + 3) // 4 if n > 3 else n for n in weight.shape[:2])
    return weight[:out, :inner]


def _quantized(rng: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    step = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    return (np.rint(weight / step) * step).astype(np.float16)


CHANGES: dict[str, Change] = {
    "as made": lambda rng, w: w,
    "cut": _cut,
    "quantized": _quantized,
    "pruned": lambda rng, w: np.where(np.abs(w) < np.median(np.abs(w)), 0, w),
    "bfloat16": lambda rng, w: w.astype(ml_dtypes.bfloat16),
    "scaled": lambda rng, w: w * np.exp(rng.normal(size=(len(w), 1, 1, 1))),
}


def _gratings() -> tuple:
    import torch

    labels = torch.randint(4, (32,))
    angle = (labels * torch.pi / 4)[:, None, None, None]
    y, x = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    phase = torch.rand((32, 3, 1, 1)) * 6.28
    waves = torch.sin(x * torch.cos(angle) + y * torch.sin(angle) + phase)
    return waves + torch.randn((32, 3, 12, 12)), labels


if __name__ == "__main__":
    main()
