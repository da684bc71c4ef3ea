"""Do kernels drawn from trained networks start a network better than He initialization?

`python -m benchmarks.initialization --density FILE --label NAME` trains small networks whose first weights
are drawn by He, from the density, or from the density with the taps of every kernel shuffled, which keeps
the values and breaks the shape. Same data, same batches, five seeds; curves and a table go to
results/init/, whatever they show.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from jfilters.density import KernelDensity, initializer, load_densities
from study import categories

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "init"
SEEDS, STEPS, EVERY, BATCH, RATE, WIDTHS = 5, 300, 10, 64, 1e-3, (16, 32, 64)
PACKAGES = ("jax", "equinox", "flowjax", "optax", "scikit-learn")
STARTS = ("He", "drawn from the density", "the same, taps shuffled")

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # images, labels; those to test on


class Network(eqx.Module):
    """Three 3x3 convolutions, the latter two of stride 2, a mean over places, a linear head."""

    layers: list[eqx.nn.Conv2d]
    head: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""], init: Callable[..., Array], classes: int):
        of_head, *keys = jax.random.split(key, 1 + len(WIDTHS))
        sizes = zip((1, *WIDTHS), WIDTHS, (1, 2, 2), keys, strict=False)
        self.layers = [_convolution(k, init, a, b, stride) for a, b, stride, k in sizes]
        self.head = eqx.nn.Linear(WIDTHS[-1], classes, key=of_head)

    def __call__(self, image: Float[Array, "h w"]) -> Float[Array, " classes"]:
        """The logits of one image."""
        x = image[None]
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return self.head(x.mean(axis=(1, 2)))


def main(arguments: list[str] | None = None) -> None:
    """Train every network and write curves.csv, init.json, init.md and init.png."""
    parser = argparse.ArgumentParser("python -m benchmarks.initialization", description=__doc__)
    parser.add_argument("--density", type=Path, required=True, help="of `jfilters density fit`")
    parser.add_argument("--label", help="which density of the file")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--steps", type=int, default=STEPS)
    chosen = parser.parse_args(arguments)
    saved = load_densities(chosen.density)
    inits = starts(saved.density(chosen.label))
    curves = {
        name: {start: learning(data(), init, chosen.steps) for start, init in inits.items()}
        for name, data in SETS.items()
    }
    about = {
        "density": {name: saved.header.get(name) for name in ("scan", "seed", "versions")},
        "label": chosen.label,
        "steps": chosen.steps,
        "every": EVERY,
        "seeds": SEEDS,
        "machine": machine(PACKAGES),
    }
    write(curves, about, chosen.out)


def starts(density: KernelDensity) -> dict[str, Callable[..., Array]]:
    """The initializers, for weights in OIHW."""
    drawn = initializer(density, axes="OIHW")
    he = jax.nn.initializers.he_normal(in_axis=1, out_axis=0)

    def shuffled(key: Key[Array, ""], shape: tuple[int, ...]) -> Array:
        of_draw, of_order = jax.random.split(key)
        flat = drawn(of_draw, shape).reshape(shape[0] * shape[1], -1)
        return jax.random.permutation(of_order, flat, axis=1, independent=True).reshape(shape)

    return dict(zip(STARTS, (he, drawn, shuffled), strict=True))


def learning(data: Data, init: Callable[..., Array], steps: int) -> Float[np.ndarray, "seeds t"]:
    """The test accuracy of every seed, before the first step and after every `EVERY` ones."""
    keys = jax.random.split(jax.random.key(0), SEEDS)
    return np.array([_learned(data, init, steps, key) for key in keys])


def _learned(
    data: Data, init: Callable[..., Array], steps: int, key: Key[Array, ""]
) -> list[float]:
    # A step at a time: inside a loop XLA computes convolutions on one thread of a CPU.
    of_start, of_batches = jax.random.split(key)
    images, labels, judged, truth = map(jnp.asarray, data)
    network = Network(of_start, init, int(data[1].max()) + 1)
    state = _optimizer().init(eqx.filter(network, eqx.is_inexact_array))
    found = [float(_accuracy(network, judged, truth))]
    for t, rows in enumerate(jax.random.randint(of_batches, (steps, BATCH), 0, len(images)), 1):
        network, state = _stepped(network, state, images[rows], labels[rows])
        if t % EVERY == 0:
            found.append(float(_accuracy(network, judged, truth)))
    return found


def _optimizer() -> optax.GradientTransformation:
    return optax.adam(RATE)


@eqx.filter_jit
def _stepped(network: Network, state: Any, images: Array, labels: Array) -> tuple[Network, Any]:
    def loss(network: Network) -> Array:
        logits = jax.vmap(network)(images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    updates, state = _optimizer().update(eqx.filter_grad(loss)(network), state)
    return eqx.apply_updates(network, updates), state


@eqx.filter_jit
def _accuracy(network: Network, judged: Array, truth: Array) -> Array:
    return jnp.mean(jax.vmap(network)(judged).argmax(axis=1) == truth)


def _convolution(
    key: Key[Array, ""], init: Callable[..., Array], inner: int, out: int, stride: int
) -> eqx.nn.Conv2d:
    layer = eqx.nn.Conv2d(inner, out, 3, stride, padding=1, key=key)
    where = lambda layer: (layer.weight, layer.bias)  # noqa: E731 (tree_at wants it)
    return eqx.tree_at(where, layer, (init(key, layer.weight.shape), jnp.zeros_like(layer.bias)))


def digits() -> Data:
    """scikit-learn's handwritten digits, 8 x 8; a third to test on."""
    images, labels = load_digits(return_X_y=True)
    return _split(images.reshape(-1, 8, 8) / 16, labels)


def _split(images: np.ndarray, labels: np.ndarray) -> Data:
    parts = train_test_split(images, labels, test_size=1 / 3, random_state=0, stratify=labels)
    trained, judged, labels, truth = parts
    center = trained.mean()
    return (
        (trained - center).astype(np.float32),
        labels.astype(np.int32),
        (judged - center).astype(np.float32),
        truth.astype(np.int32),
    )


def textures() -> Data:
    """The study's oriented textures, 24 x 24."""
    images, labels = categories.drawn("textures", "images", 1500, "train", 0)
    return _split(images, labels)


SETS: dict[str, Callable[[], Data]] = {"digits": digits, "textures": textures}

Curves = dict[str, dict[str, np.ndarray]]


def write(curves: Curves, about: dict, out: Path) -> None:
    """Keep the curves, what they were run with, a table and a figure."""
    out.mkdir(parents=True, exist_ok=True)
    rows = ["set,start,seed,step,accuracy"]
    for name, found in curves.items():
        for start, accuracy in found.items():
            rows += [
                f"{name},{start},{seed},{EVERY * t},{value:.6f}"
                for seed, line in enumerate(accuracy)
                for t, value in enumerate(line)
            ]
    (out / "curves.csv").write_text("\n".join(rows) + "\n")
    (out / "init.json").write_text(json.dumps(about, indent=1) + "\n")
    (out / "init.md").write_text(markdown(curves, about))
    figure(curves, out / "init.png")


def markdown(curves: Curves, about: dict) -> str:
    """What the curves say: the accuracy on the way and at the end, mean and deviation over seeds."""
    middle = about["steps"] // EVERY // 5
    lines = [
        f"Test accuracy, mean +- deviation over {SEEDS} seeds; the area is the mean over all steps.",
        "",
        f"| set | start | after {EVERY * middle} steps | after {about['steps']} | area |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, found in curves.items():
        for start, accuracy in found.items():
            columns = accuracy[:, middle], accuracy[:, -1], accuracy.mean(axis=1)
            told = " | ".join(f"{x.mean():.3f} +- {x.std(ddof=1):.3f}" for x in columns)
            lines.append(f"| {name} | {start} | {told} |")
    lines += [
        "",
        "Against He, difference of the areas of the same seed, and its standard error:",
        "",
    ]
    for name, found in curves.items():
        for start in STARTS[1:]:
            gain = found[start].mean(axis=1) - found[STARTS[0]].mean(axis=1)
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            lines.append(f"- {name}, {start}: {gain.mean():+.4f} +- {error:.4f}")
    return "\n".join(lines) + "\n"


def figure(curves: Curves, path: Path) -> None:
    """The mean of every start over the steps, with the span of its seeds."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(4 * len(curves), 3.2), layout="constrained")
    for axes, (name, found) in zip(drawing.subplots(1, len(curves)), curves.items(), strict=True):
        for start, accuracy in found.items():
            steps = EVERY * np.arange(accuracy.shape[1])
            (line,) = axes.plot(steps, accuracy.mean(axis=0), label=start)
            axes.fill_between(
                steps,
                accuracy.min(axis=0),
                accuracy.max(axis=0),
                alpha=0.15,
                color=line.get_color(),
            )
        axes.set(title=name, xlabel="step", ylabel="test accuracy")
    axes.legend(frameon=False)
    drawing.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
