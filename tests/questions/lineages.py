"""Made checkpoints of known heritage, without a framework: kernels, and BatchNorm where that tells."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

Weights = dict[str, np.ndarray]

SHAPES = {"conv1": (24, 3, 3, 3), "conv2": (32, 24, 3, 3), "conv3": (32, 32, 3, 3)}


def fresh(rng: np.random.Generator, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Weights:
    """Independent normal kernels under the names that torch gives."""
    return {
        f"{name}.weight": rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def tuned(rng: np.random.Generator, weights: Weights, step: float = 0.2) -> Weights:
    """The kernels after a random step; zeros stay where `step` is negative."""
    return {
        name: (w + abs(step) * rng.normal(size=w.shape) * ((w != 0) | (step > 0))).astype(w.dtype)
        for name, w in weights.items()
    }


def quantized(weights: Weights, levels: int = 127) -> Weights:
    """The kernels on a grid of each output channel."""
    grids = {}
    for name, w in weights.items():
        step = np.abs(w).max(axis=(1, 2, 3), keepdims=True) / levels
        grids[name] = (np.rint(w / step) * step).astype(np.float32)
    return grids


def pruned(weights: Weights, share: float = 0.6) -> Weights:
    """The kernels with the smallest weights set to zero."""
    cut = np.quantile(np.concatenate([np.abs(w).ravel() for w in weights.values()]), share)
    return {name: np.where(np.abs(w) > cut, w, np.float32(0)) for name, w in weights.items()}


def averaged(parts: list[Weights], shares: list[float]) -> Weights:
    """The weighted mean of networks."""
    return {
        name: sum(np.float32(s) * p[name] for s, p in zip(shares, parts, strict=True))
        for name in parts[0]
    }


def permuted(rng: np.random.Generator, weights: Weights) -> Weights:
    """The same network with its hidden channels in another order."""
    result, order = {}, None
    for name, w in weights.items():
        w = w if order is None else w[:, order]
        order = rng.permutation(len(w))
        result[name] = np.ascontiguousarray(w[order])
    return result


def scaled(rng: np.random.Generator, weights: Weights) -> Weights:
    """The kernels times a positive factor of each output channel, as a folded BatchNorm."""
    return {
        name: w * np.exp(0.7 * rng.normal(size=(len(w), 1, 1, 1))).astype(np.float32)
        for name, w in weights.items()
    }


def cut(weights: Weights) -> Weights:
    """Every second hidden channel, as structured pruning leaves them."""
    first, second, third = weights.values()
    parts = (first[::2], second[::2, ::2], third[:, ::2])
    return dict(zip(weights, map(np.ascontiguousarray, parts), strict=True))


def as_half(weights: Weights) -> Weights:
    """The kernels in float16."""
    return {name: w.astype(np.float16) for name, w in weights.items()}


def with_norms(weights: Weights, steps: int | None = None) -> Weights:
    """The kernels with a BatchNorm for each layer, which counts `steps` of training."""
    norms: Weights = {}
    for name, w in weights.items():
        norm = name.replace("conv", "bn").removesuffix(".weight")
        norms |= {
            f"{norm}.{part}": np.ones(len(w), np.float32) for part in ("weight", "running_var")
        }
        norms |= {
            f"{norm}.{part}": np.zeros(len(w), np.float32) for part in ("bias", "running_mean")
        }
        if steps is not None:
            norms[f"{norm}.num_batches_tracked"] = np.array(steps)
    return weights | norms


def write(folder: Path, networks: Mapping[str, Weights]) -> Path:
    """Write each network as a file of its name."""
    folder.mkdir(exist_ok=True)
    for name, weights in networks.items():
        save_file(weights, folder / f"{name}.safetensors")
    return folder
