"""Quality of the 3x3 layers of a ResNet-50, beside torchconvquality and WeightWatcher.

The weights are random, of the network's shapes; some kernels are sparse, so that there is some to find.
"""

import contextlib
import functools
import logging
import os
import statistics
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jfilters.engine import Options, measure_quality
from jfilters.kernels import Kernels, Layer
from jfilters.statistics.internal import entropy_from_moments

from ._timing import Row, rested_seconds, side_by_side

WIDTHS = (64,) * 3 + (128,) * 4 + (256,) * 6 + (512,) * 3
WITHOUT = Options(orthogonality=False)
EXTRA_WORK = "ours counts the kernels below six limits, and zero ones, too"


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """With and without orthogonality, warm."""
    import torchconvquality

    runs = 1 if quick else 7
    kernels = random_kernels(WIDTHS[:4] if quick else WIDTHS)
    module = as_module(kernels)
    check(kernels, module)
    tcq = f"torchconvquality {_version('torchconvquality')}"
    without = side_by_side(
        f"sparsity, variance entropy, norms: 3x3 layers of a ResNet-50 ({kernels.count():,} kernels)",
        lambda: measure_quality(kernels, WITHOUT),
        lambda: without_orthogonality(module),
        peer=f"{tcq}, its sparsity and variance_entropy",
        runs=runs,
        least_ratio=15,
        note=f"{EXTRA_WORK}, and takes norms, which that release does not have",
    )
    with_orthogonality = side_by_side(
        "the same and orthogonality",
        lambda: measure_quality(kernels),
        lambda: torchconvquality.measure_quality(module),
        peer=f"{tcq}, measure_quality",
        runs=runs,
        least_ratio=5,
        note=f"{EXTRA_WORK}; {_product_note(kernels, runs)}",
    )
    check_norms(kernels, module)
    norms = side_by_side(
        "sparsity, variance entropy, norms of the same layers",
        lambda: measure_quality(kernels, WITHOUT),
        lambda: watch(module),
        peer=f"WeightWatcher {_version('weightwatcher')}, analyze()",
        runs=1 if quick else 3,
        least_ratio=60,
        note="of the numbers of both, only the norms are the same",
    )
    return [without, with_orthogonality, norms]


def random_kernels(widths: tuple[int, ...]) -> Kernels:
    """One square 3x3 layer of each width, a few kernels of it a thousand times smaller."""
    rng = np.random.default_rng(0)
    weights = []
    for width in widths:
        weight = rng.standard_normal((width, width, 3, 3), np.float32) / np.sqrt(9 * width)
        weight[rng.random((width, width)) < 0.03] *= 1e-3
        weights.append(jnp.asarray(weight, jnp.float32))
    layers = tuple(Layer(f"conv{i}") for i in range(len(widths)))
    return Kernels(weights=tuple(weights), layers=layers)


def as_module(kernels: Kernels) -> Any:
    """The same layers as a torch module."""
    import torch

    module = torch.nn.Sequential()
    for layer, weight in kernels:
        out, inner = weight.shape[:2]
        convolution = torch.nn.Conv2d(inner, out, 3, bias=False)
        convolution.weight = torch.nn.Parameter(torch.from_numpy(np.array(weight)))
        module.add_module(layer.name, convolution)
    return module


def without_orthogonality(module: Any) -> list[tuple[float, float, float]]:
    """What `measure_quality` computes of each layer, but for the orthogonality."""
    import torch
    import torchconvquality

    tcq: Any = torchconvquality  # its annotations promise a number where it gives a pair
    found = []
    with torch.no_grad():
        for convolution in module:
            weight = convolution.weight.detach()
            sparsity, sparse = tcq.sparsity(weight)
            entropy, _ = tcq.variance_entropy(weight)
            clean, _ = tcq.variance_entropy(weight, mask=~sparse)
            found.append((sparsity, entropy, clean))
    return found


def watch(module: Any) -> Any:
    """WeightWatcher's table, its chatter left out."""
    import weightwatcher

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        watcher = weightwatcher.WeightWatcher(model=module, log_level=logging.ERROR)
        return watcher.analyze()


def check(kernels: Kernels, module: Any) -> None:
    """That torchconvquality finds the same numbers where it computes the same."""
    import torchconvquality

    layers = measure_quality(kernels)
    entropy, clean = entropy_from_moments(layers.raw), entropy_from_moments(layers.clean)
    ours = np.stack([layers.n_sparse / layers.n_finite, np.asarray(entropy), np.asarray(clean)], 1)
    np.testing.assert_allclose(ours, without_orthogonality(module), atol=1e-4)
    full = torchconvquality.measure_quality(module)
    theirs = [full[name]["orthogonality"] for name in kernels.names]
    np.testing.assert_allclose(layers.orthogonality, theirs, atol=1e-5)


def check_norms(kernels: Kernels, module: Any) -> None:
    """That WeightWatcher finds the same norms: the squared ones, of weights that it divides by sqrt(2)."""
    ours = measure_quality(kernels, WITHOUT).sum_squares
    np.testing.assert_allclose(ours / 2, watch(module)["norm"], rtol=1e-4)


def _product_note(kernels: Kernels, runs: int) -> str:
    """How long the products of all layers' rows take alone, and measure beside them."""

    @jax.jit
    def product(weight: jax.Array) -> jax.Array:
        flat = weight.reshape(len(weight), -1)
        return jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)

    def products() -> None:
        jax.block_until_ready([product(weight) for weight in kernels.weights])

    products()
    measure = functools.partial(measure_quality, kernels)
    pairs = [(rested_seconds(products), rested_seconds(measure)) for _ in range(runs)]
    alone = statistics.median(a for a, _ in pairs)
    share = statistics.median(a / b for a, b in pairs)
    return f"the bare matrix products take {alone:.3f} s, {share:.0%} of ours"


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
