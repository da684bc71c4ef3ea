"""Compare checkpoints by their weights alone: what has happened between two files?

A base network is fine-tuned, pruned, and saved in half precision. A last network has nothing to do with it.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import jfilters as jf

SHAPES = {"conv1.weight": (32, 8, 3, 3), "conv2.weight": (64, 32, 3, 3)}


def network(seed: int) -> dict[str, np.ndarray]:
    """Two convolutions with weights drawn at random."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in SHAPES.items()}


base = network(0)
step = network(1)
networks = {
    "base": base,
    "tuned": {name: weight + 0.1 * step[name] for name, weight in base.items()},
    "pruned": {name: np.where(abs(weight) < 0.7, 0, weight) for name, weight in base.items()},
    "half": {name: weight.astype(np.float16) for name, weight in base.items()},
    "stranger": network(2),
}
folder = Path("checkpoints")
folder.mkdir(exist_ok=True)
for name, weights in networks.items():
    save_file(weights, folder / f"{name}.safetensors", metadata={"format": "pt"})

for name in ("tuned", "pruned", "half", "stranger"):
    pair = jf.compare(folder / "base.safetensors", folder / f"{name}.safetensors")
    print(f"base and {name}: {pair.relation.label}")
    for reason in pair.relation.reasons:
        print(f"    {reason}")
