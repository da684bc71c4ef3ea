"""Random weights at the speed of a disk: cut from a pool of kernels that each model shapes its own way."""

import math
from collections.abc import Iterator

import numpy as np

POOL_KERNELS = (64 << 20) // 36  # 64 MB of 3x3 kernels
CHUNK = 1 << 20  # floats that are scaled and handed out at a time
TAPS = 9


class Weights:
    """The weights of one model: correlated taps, tails of its own, in some models dead kernels.

    The pool holds standard normal numbers (n, 9); a tensor is a stretch of its kernels from a random
    place on, scaled. Two tensors of a model may share kernels, those of two models do not.
    """

    def __init__(self, pool: np.ndarray, rng: np.random.Generator):
        self._rng = rng
        self._kernels = np.empty_like(pool)
        mix, tail = _mix(rng), np.float32(rng.uniform(0, 0.5))
        for start in range(0, len(pool), CHUNK // TAPS):
            part = pool[start : start + CHUNK // TAPS] @ mix
            self._kernels[start : start + len(part)] = part * (1 + tail * np.abs(part))
        self._weaken(pool)

    def tensor(self, name: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """Flat float32 pieces of a tensor, in order."""
        center, spread = _place(name, shape)
        scale = np.float32(spread * self._rng.uniform(0.5, 2))
        start = TAPS * int(self._rng.integers(len(self._kernels)))
        left, flat = math.prod(shape), self._kernels.reshape(-1)
        while left:
            part = flat[start : start + min(left, CHUNK)] * scale + np.float32(center)
            yield np.abs(part) if name.endswith("running_var") else part
            left, start = left - len(part), (start + len(part)) % len(flat)

    def _weaken(self, pool: np.ndarray) -> None:
        """Make kernels sparse in one model of three, and zero in another of them."""
        kind, fraction = self._rng.integers(3), self._rng.uniform(0.02, 0.4)
        factor = {0: 1.0, 1: 1e-3, 2: 0.0}[int(kind)]
        if factor < 1:
            self._kernels[self._rng.random(len(pool), np.float32) < fraction] *= np.float32(factor)


def pool(rng: np.random.Generator, kernels: int) -> np.ndarray:
    """Standard normal numbers (n, 9), for models of at most so many kernels."""
    return rng.standard_normal((min(kernels, POOL_KERNELS), TAPS), np.float32)


def _mix(rng: np.random.Generator) -> np.ndarray:
    """Smooth patterns for the strong components, as trained kernels have, turned a little a model."""
    wave = np.cos(np.pi / 3 * np.outer(np.arange(3), np.arange(3) + 0.5))
    turned = np.kron(wave, wave) + rng.uniform(0.1, 0.6) * rng.standard_normal((TAPS, TAPS))
    patterns = np.linalg.qr(turned.T)[0].T
    spectrum = np.exp(-rng.uniform(0.05, 0.4) * np.arange(TAPS))
    return (spectrum[:, None] * patterns).astype(np.float32)


def _place(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Where the numbers of a tensor lie: its center and its spread."""
    if len(shape) > 1:
        return 0.0, math.sqrt(2 / math.prod(shape[1:]))
    return (1.0, 0.1) if name.endswith((".weight", "running_var")) else (0.0, 0.1)
