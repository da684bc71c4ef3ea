"""Write a population of wide residual networks with a given number of kernels.

`python -m benchmarks.population --kernels 1e8 --out DIR`: safetensors files with PyTorch names and axes,
streamed to disk, from a seed. 5e8 kernels are 18 GB.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ._networks import Network, Tensor, population
from ._weights import Weights, pool

LEAST_KERNELS = 100_000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.population", description=__doc__)
    parser.add_argument("--kernels", type=float, required=True, help="3x3 kernels, such as 5e8")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.kernels < LEAST_KERNELS:
        parser.error(f"expected at least {LEAST_KERNELS:,} kernels, got {chosen.kernels:,.0f}")
    start = time.perf_counter()
    networks = write_population(int(chosen.kernels), chosen.out, seed=chosen.seed)
    size = sum(file.stat().st_size for file in chosen.out.glob("*.safetensors"))
    print(
        f"{len(networks)} networks, {sum(n.kernels for n in networks):,} kernels, {size / 1e9:.2f} GB "
        f"in {time.perf_counter() - start:.1f} s"
    )


def write_population(kernels: int, out: Path, *, seed: int = 0) -> list[Network]:
    """Write the networks into `out`, one file each, in bounded memory."""
    networks = population(kernels, np.random.default_rng(seed))
    normals = pool(np.random.default_rng([seed, 0]), max(n.kernels for n in networks))
    out.mkdir(parents=True, exist_ok=True)
    for index, network in enumerate(networks):
        weights = Weights(normals[: network.kernels], np.random.default_rng([seed, 1 + index]))
        write(out / f"{index:02d}-{network.name}.safetensors", network.tensors, weights)
    return networks


def write(path: Path, tensors: Sequence[Tensor], weights: Weights) -> None:
    """One safetensors file, tensor after tensor."""
    with path.open("wb") as file:
        file.write(header(tensors))
        for name, shape in tensors:
            for part in weights.tensor(name, shape):
                file.write(part.data)


def header(tensors: Sequence[Tensor]) -> bytes:
    """The head of a safetensors file of float32 tensors: its length, then where each tensor lies."""
    records: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors:
        start, end = end, end + 4 * math.prod(shape)
        records[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(records, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % 8)
    return len(padded).to_bytes(8, "little") + padded


if __name__ == "__main__":
    main()
