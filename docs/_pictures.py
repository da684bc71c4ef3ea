"""The pictures of the one-screen pages: `python docs/_pictures.py` draws them anew into docs/images.

Kernels are made here from known laws; what a picture says of them is what the functions of jfilters answer.
"""

from pathlib import Path

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import jfilters as jf

IMAGES = Path(__file__).parent / "images"
CLASSES = {"good": ("#1b7f5c", "✓"), "look": ("#b8860b", "!"), "bad": ("#b3261e", "✗")}
"""Color and sign of the three classes of verdicts."""

VERDICTS = {
    "healthy": "good",
    "sparse": "look",
    "low-diversity": "look",
    "random-like": "bad",
    "collapsed": "bad",
    "all-zero": "bad",
}
RULER = {
    "copy in float16": (0, 2e-5),
    "other seed": (0.0016, 0.01),
    "fine-tuned": (0.0025, 0.0075),
    "other data": (0.012, 0.047),
    "half pruned": (0.058, 0.14),
    "other task": (0.059, 0.13),
    "strangers": (0.097, 0.5),
}
"""Median and 90 % quantile of D0 between two networks, in nats (results/calibration/ruler.md)."""


def smooth(width: float, seed: int, shape: tuple[int, int] = (64, 32)) -> np.ndarray:
    """Return a weight (out, in, 3, 3) of Gaussian taps that correlate over `width` taps."""
    points = np.indices((3, 3)).reshape(2, 9).T
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    root = np.linalg.cholesky(np.exp(-squares / (2 * width**2)) + 1e-6 * np.eye(9))
    taps = np.random.default_rng(seed).standard_normal((*shape, 9)) @ root.T
    return taps.reshape(*shape, 3, 3).astype(np.float32)


def layers() -> dict[str, np.ndarray]:
    """Return one made layer a verdict."""
    rng = np.random.default_rng(1)
    kept = rng.random((64, 32, 1, 1)) < 0.7
    return {
        "healthy": smooth(1.0, 0),
        "sparse": np.where(kept, smooth(1.0, 2), 0),
        "low-diversity": smooth(6.0, 3),
        "random-like": rng.standard_normal((64, 32, 3, 3)).astype(np.float32),
        "collapsed": np.where(kept, smooth(6.0, 4), 0),
        "all-zero": np.zeros((64, 32, 3, 3), np.float32),
    }


def verdicts(axes: np.ndarray) -> None:
    """Draw twelve kernels of every layer with its verdict and the class of it."""
    for ax, (name, weight) in zip(axes.flat, layers().items(), strict=True):
        record = jf.statistics.quality(jax.numpy.asarray(weight))
        (label,) = record.verdict_labels()
        assert label == name, f"{name} is {label}"
        color, sign = CLASSES[VERDICTS[label]]
        _tiles(ax, weight.reshape(-1, 3, 3)[:12])
        ax.set_title(f"{sign} {label}", color=color, fontsize=12, fontweight="bold", loc="left")
        ratio = float(record.variance_entropy_ratio)
        numbers = f"sparse {float(record.sparsity):.2f}"
        numbers += "" if np.isnan(ratio) else f"   H/T {ratio:.2f}"
        ax.set_xlabel(numbers, fontsize=9, loc="left")


def distances(axes: np.ndarray) -> None:
    """Draw pairs of histograms whose drift is known by computation."""
    bins = np.linspace(-1, 1, 61)
    first = _histogram(0.0, bins)
    for ax, shift in zip(axes, (0.02, 0.07, 0.22), strict=True):
        second = _histogram(shift, bins)
        value = float(jf.shift.drift(first[None], second[None], np.ones(1)))
        ax.stairs(first, bins, fill=True, alpha=0.45, color="#0072b2", label="A")
        ax.stairs(second, bins, color="#d55e00", linewidth=1.8, label="B")
        ax.set_title(f"D = {value:.3f}", fontsize=12, loc="left")
        ax.set_xlabel("coefficient of a component", fontsize=9)
        ax.set_yticks([])
        ax.spines[["left", "top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=9)


def ruler(ax: Axes) -> None:
    """Draw D0 between networks of known kind: median and 90 % quantile."""
    for place, (name, (median, high)) in enumerate(reversed(RULER.items())):
        start = max(median, 5e-6)
        ax.plot([start, high], [place, place], color="#0072b2", linewidth=6, alpha=0.45)
        ax.plot(start, place, "o", color="#0072b2")
        ax.annotate(
            name, (high, place), (8, 0), textcoords="offset points", va="center", fontsize=9
        )
    ax.set_xscale("log")
    ax.set_xlim(4e-6, 4)
    ax.set_yticks([])
    ax.set_xlabel("D0 in nats: dot = median, bar to the 90 % quantile of such pairs", fontsize=9)
    ax.spines[["left", "top", "right"]].set_visible(False)


def exchange(axes: np.ndarray) -> None:
    """Draw what U is under 1,000 exchanges of labels: once with a shift, and once without."""
    rng = np.random.default_rng(3)
    for ax, shift in zip(axes, (0.0, 2.0), strict=True):
        units = rng.standard_normal(16) + shift * (np.arange(16) < 8)
        values = [_gap(units[rng.permutation(16)]) for _ in range(1000)]
        value = _gap(units)
        p = (1 + sum(other >= value for other in values)) / 1001
        ax.hist(values, 30, color="#bbbbbb", label="labels exchanged, 1,000 times")
        ax.axvline(value, color="#d55e00", linewidth=2, label="the labels as they are")
        word = "shifted" if p <= 0.05 else "within null"
        ax.set_title(f"p = {p:.3f}: {word}", fontsize=12, loc="left")
        ax.margins(x=0.08)
        ax.set_xlabel("distance between two groups of 8 networks", fontsize=9)
        ax.set_yticks([])
        ax.spines[["left", "top", "right"]].set_visible(False)
    axes[0].set_ylim(top=1.45 * axes[0].get_ylim()[1])
    axes[0].legend(frameon=False, fontsize=9, loc="upper right")


def draw() -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    figure, axes = plt.subplots(2, 3, figsize=(8, 3.3))
    verdicts(axes)
    _save(figure, "verdicts")
    figure, axes = plt.subplot_mosaic("abc;rrr", figsize=(8, 4.6), height_ratios=(1, 1.2))
    distances(np.array([axes[name] for name in "abc"]))
    ruler(axes["r"])
    _save(figure, "read-d")
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
    exchange(axes)
    _save(figure, "read-p")


def _tiles(ax: Axes, kernels: np.ndarray) -> None:
    picture = np.full((9, 25), np.nan)
    for place, kernel in enumerate(kernels):
        row, column = divmod(place, 6)
        largest = np.abs(kernel).max()
        tile = kernel / largest if largest else kernel
        picture[row * 4 + 1 : row * 4 + 4, column * 4 + 1 : column * 4 + 4] = tile
    ax.imshow(picture, cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def _histogram(shift: float, bins: np.ndarray) -> np.ndarray:
    centers = (bins[1:] + bins[:-1]) / 2
    density = np.exp(-(((centers - shift) / 0.3) ** 2) / 2)
    return density / density.sum()


def _gap(units: np.ndarray) -> float:
    return abs(units[:8].mean() - units[8:].mean())


def _save(figure: mpl.figure.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    mpl.use("agg")
    draw()
