"""Make a folder of twelve checkpoints to try jfilters on: three families, a copy, and a dead layer.

Run it as `python examples/make_checkpoints.py DIR`. Nothing is downloaded. The networks are small made ones
whose kernels are smooth, as those of trained networks are. Fine-tuning is imitated by a small change of
every weight.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

CHANNELS = (3, 16, 32, 32, 64, 64)
Weights = dict[str, np.ndarray]


def train(seed: int, steps: int = 20_000) -> Weights:
    """Return the weights of a new network of five 3x3 convolutions with BatchNorm."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(CHANNELS)):
        kernels = rng.normal(size=(outputs, inputs, 9)) @ _smoothing(0.8 + 0.1 * (seed % 5))
        weights[f"conv{i}.weight"] = 0.1 * kernels.reshape(outputs, inputs, 3, 3)
        weights[f"bn{i}.weight"] = rng.uniform(0.8, 1.2, outputs)
        weights[f"bn{i}.bias"] = rng.normal(0, 0.1, outputs)
        weights[f"bn{i}.running_mean"] = rng.normal(0, 0.1, outputs)
        weights[f"bn{i}.running_var"] = rng.uniform(0.5, 2, outputs)
        weights[f"bn{i}.num_batches_tracked"] = np.int64(steps)
    weights["head.weight"] = rng.normal(size=(10, CHANNELS[-1]))
    return {name: _as_stored(array) for name, array in weights.items()}


def fine_tune(weights: Weights, seed: int, steps: int = 2_000, change: float = 0.3) -> Weights:
    """Return the weights after some more steps: every kernel has moved a little, and the head is new."""
    rng = np.random.default_rng(seed)
    tuned = {}
    for name, array in weights.items():
        if name.endswith("num_batches_tracked"):
            tuned[name] = array + steps
        elif name == "head.weight":
            tuned[name] = rng.normal(size=array.shape)
        else:
            tuned[name] = array + change * array.std() * rng.normal(size=array.shape)
    return {name: _as_stored(array) for name, array in tuned.items()}


def prune(weights: Weights, share: float = 0.5) -> Weights:
    """Return the weights with the smaller half of every convolution set to zero."""
    return {
        name: np.where(abs(array) < np.quantile(abs(array), share), 0, array).astype(array.dtype)
        if name.startswith("conv")
        else array
        for name, array in weights.items()
    }


def main(folder: Path) -> None:
    """Write the twelve files."""
    base, detector, restorer = train(0), train(1), train(2)
    dead = fine_tune(detector, 7)
    dead["conv3.weight"] = np.zeros_like(dead["conv3.weight"])
    networks = {
        "base": base,
        "birds": fine_tune(base, 3),
        "flowers": fine_tune(base, 4),
        "flowers_small": prune(fine_tune(base, 4)),
        "birds_float16": _in_float16(fine_tune(base, 3)),
        "detector": detector,
        "detector_cars": fine_tune(detector, 5),
        "detector_people": fine_tune(detector, 6),
        "dead": dead,
        "denoise": restorer,
        "denoise_strong": fine_tune(restorer, 8),
        "deblur": fine_tune(restorer, 9, change=0.5),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, weights in networks.items():
        save_file(weights, folder / f"{name}.safetensors", metadata={"format": "pt"})
    print(f"{len(networks)} checkpoints in {folder}")


def _smoothing(width: float) -> np.ndarray:
    points = np.indices((3, 3)).reshape(2, 9).T
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    return np.linalg.cholesky(np.exp(-squares / (2 * width**2)) + 1e-6 * np.eye(9)).T


def _as_stored(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, array.dtype if array.dtype.kind == "i" else np.float32)


def _in_float16(weights: Weights) -> Weights:
    return {
        name: array.astype(np.float16) if array.dtype.kind == "f" else array
        for name, array in weights.items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "checkpoints"))
