"""Scan a folder of checkpoints: which networks are healthy, and how far are they apart?

It makes four small networks, whose answers are known: two smooth ones, one of random weights, and one with
a layer that has died.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import jfilters as jf

SMOOTH = np.exp(-np.add.outer([1, 0, 1], [1, 0, 1]))


def network(seed: int, shape_of_kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Three layers of 3x3 kernels: a shape common to all, and small deviations from it."""
    rng = np.random.default_rng(seed)
    weights = {}
    for depth, (n_out, n_in) in enumerate([(16, 8), (32, 16), (32, 32)]):
        scale = rng.standard_normal((n_out, n_in, 1, 1))
        noise = rng.standard_normal((n_out, n_in, 3, 3))
        weights[f"conv{depth}.weight"] = (scale * shape_of_kernels + 0.5 * noise).astype("float32")
    return weights


checkpoints = Path("checkpoints")
checkpoints.mkdir(exist_ok=True)
dead = network(3, SMOOTH)
dead["conv1.weight"][:] = 0
networks = {
    "birds": network(0, SMOOTH),
    "cats": network(1, SMOOTH),
    "untrained": network(2, np.zeros((3, 3))),
    "dead": dead,
}
for name, weights in networks.items():
    # The metadata says that weights are ordered as in torch: (out, in, height, width).
    save_file(weights, checkpoints / f"{name}.safetensors", metadata={"format": "pt"})

scan = jf.scan(checkpoints, progress=False)
scan.save("scan")

print(scan.layers[["n_kernels", "sparsity", "verdict"]])
print(scan.drift().frame.round(2).to_string())
print("open it again with jf.open_scan('scan'), or look at it: jfilters report scan --open")
