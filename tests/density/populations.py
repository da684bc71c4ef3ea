"""Populations on the cube's surface whose densities are known."""

import numpy as np

SMALL = {"layers": 3, "width": 16, "batch": 128, "epochs": 20, "learning_rate": 5e-3}
"""A flow that is quick to compile and enough for what is drawn here."""


def gaussian(rng, n, *, loc=0.0, scale=1.0, d=3, face=None):
    """Kernels whose face is drawn from `face` and whose other taps are tanh of a Gaussian."""
    face = np.full(2 * d, 1 / (2 * d)) if face is None else np.asarray(face)
    drawn = rng.choice(2 * d, size=n, p=face)
    rest = np.tanh(rng.normal(loc, scale, (n, d - 1)))
    return placed(drawn, rest)


def placed(face, rest):
    """Kernels from their faces and other taps, one after another: the chart's definition, in a loop."""
    kernels = [
        np.insert(row, f // 2, -1.0 if f % 2 else 1.0) for f, row in zip(face, rest, strict=True)
    ]
    return np.array(kernels, np.float32)


def logistic(rng, n, *, loc, scale, face, d=3):
    """The same with tanh of a logistic variable."""
    drawn = rng.choice(2 * d, size=n, p=face)
    return placed(drawn, np.tanh(rng.logistic(loc, scale, (n, d - 1))))


def logistic_kl(shift, scale):
    """KL in nats between two logistic variables of one scale, so far apart; the same both ways."""
    away = shift / scale
    return away / np.tanh(away / 2) - 2
