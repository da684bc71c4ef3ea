"""docs/functions.md lists every public function, and each runs under JAX as the page says."""

import functools
import importlib
import inspect
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters import density, shift, statistics, training

PAGE = Path(__file__).parents[2] / "docs/functions.md"
ROW = re.compile(r"\| `jf\.([\w.]+)` \| (\w+) \| (\w+) \|([^|]*)\|")
ROWS = {name: columns for name, *columns in ROW.findall(PAGE.read_text("utf-8"))}
DEVICE = sorted(name for name, (runs, *_) in ROWS.items() if runs == "device")
HOST = sorted(name for name, (runs, *_) in ROWS.items() if runs == "host")
FACES = ("", "statistics", "shift", "density", "training")

N, D = 24, 9
BASIS = statistics.Basis(np.zeros(D), np.eye(D), np.full(D, 1 / D))
KERNELS = jax.random.normal(jax.random.key(0), (N, D))
EDGES = np.linspace(-1, 1, 5)


def weight(rows):
    return rows.reshape(6, 4, 3, 3)


REFERENCE = jf.Reference.of(KERNELS**3, basis=BASIS)


def moments(rows):
    return statistics.moments(rows)


def probabilities(rows):
    return jax.nn.softmax(rows.T, axis=1)


@functools.cache
def densities():
    """One density of 3 taps, barely fitted, with a first axis of 1; outside of a program."""
    options = density.FitOptions(layers=1, width=4, epochs=1)
    kernels = density.dequantize(jax.random.key(1), np.asarray(KERNELS).reshape(-1, 3)).kernels
    return density.fit(jax.random.key(0), jnp.tile(kernels, (4, 1)), options=options).densities


def density_of_one():
    arrays, static = eqx.partition(densities(), eqx.is_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf[0], arrays), static)


# A call of every function of the device on the rows `KERNELS`; a new one takes one line.
CALLS = {
    "drift": lambda x: jf.drift(x, x**3, basis=BASIS),
    "from_params": lambda x: jf.from_params({"conv": {"kernel": weight(x)}}),
    "normalize": jf.normalize,
    "orthogonality": jf.orthogonality,
    "randomness_threshold": lambda x: jf.randomness_threshold(20 + x, 9),
    "sparsity": jf.sparsity,
    "variance_entropy": jf.variance_entropy,
    "statistics.coefficient_histogram": lambda x: statistics.coefficient_histogram(
        x, BASIS, low=-1.0, high=1.0, bins=4
    ),
    "statistics.covariance": lambda x: statistics.covariance(moments(x)),
    "statistics.histogram": lambda x: statistics.histogram(x, EDGES),
    "statistics.max_abs": statistics.max_abs,
    "statistics.merge_moments": lambda x: statistics.merge_moments(moments(x), moments(2 * x)),
    "statistics.moments": statistics.moments,
    "statistics.norms": statistics.norms,
    "statistics.project": lambda x: statistics.project(x, BASIS),
    "statistics.quality": lambda x: statistics.quality(weight(x)),
    "statistics.sparse_mask": statistics.sparse_mask,
    "shift.drift_components": lambda x: shift.drift_components(
        probabilities(x), probabilities(x**2), BASIS.variance_ratio
    ),
    "shift.frechet": lambda x: shift.frechet(moments(x), moments(x**2)),
    "shift.soft_drift": lambda x: shift.soft_drift(x, x**3, basis=BASIS, width=1.0),
    "shift.probability": lambda x: shift.probability(x.T**2, np.linspace(-1, 1, N + 1)),
    "density.log_probs": lambda x: density.log_probs(densities(), x.reshape(1, -1, 3)),
    "density.samples": lambda x: (
        density.samples(jax.random.key(0), density_of_one(), 3) + 0 * x[:3, :3]
    ),
    "training.drift_penalty": lambda x: training.drift_penalty(REFERENCE)(weight(x)),
    "training.measure_layers": lambda x: training.measure_layers({"conv": weight(x)}),
    "training.orthogonality_penalty": lambda x: training.orthogonality_penalty(weight(x)),
    "training.variance_entropy_penalty": lambda x: training.variance_entropy_penalty(weight(x)),
}
over = pytest.mark.parametrize


def function_of(name):
    room, _, short = name.rpartition(".")
    return getattr(importlib.import_module(f"jfilters.{room}".rstrip(".")), short)


def functions_of(face):
    """The public functions of a face, by their names."""
    room = importlib.import_module(f"jfilters.{face}".rstrip("."))
    values = {name: getattr(room, name) for name in room.__all__}
    return {name: value for name, value in values.items() if is_function(value)}


def is_function(value):
    return callable(value) and not inspect.isclass(value) and not inspect.ismodule(value)


@over("face", FACES)
def test_every_public_function_is_on_the_page(face):
    on_page = {id(function_of(name)) for name in ROWS}
    missing = [name for name, value in functions_of(face).items() if id(value) not in on_page]
    assert not missing, f"docs/functions.md has no row for {missing} of jf.{face}"


def test_every_row_is_a_public_function():
    public = {id(value) for face in FACES for value in functions_of(face).values()}
    assert [name for name in ROWS if id(function_of(name)) not in public] == []
    assert {runs for runs, *_ in ROWS.values()} == {"device", "host", "data"}


def test_every_function_of_the_device_is_called_here():
    assert set(CALLS) == set(DEVICE)


@over("name", DEVICE)
def test_the_device_runs_it_as_the_page_says(name):
    call, (_, differentiable, _) = CALLS[name], ROWS[name]
    expected = jax.tree.leaves(call(KERNELS))
    for value, leaf in zip(jax.tree.leaves(jax.jit(call)(KERNELS)), expected, strict=True):
        np.testing.assert_allclose(value, leaf, rtol=1e-4, atol=1e-4)
    both = jax.jit(jax.vmap(call))(jnp.stack([KERNELS, 2 * KERNELS]))
    for value, leaf in zip(jax.tree.leaves(both), expected, strict=True):
        np.testing.assert_allclose(value[0], leaf, rtol=1e-4, atol=1e-4)
    if differentiable == "no":
        return
    gradient = jax.grad(lambda x: total(call(x)))(KERNELS)
    assert jnp.isfinite(gradient).all()
    assert bool(gradient.any()) == (differentiable == "yes")


def total(result):
    leaves = jax.tree.leaves(result)
    return sum(jnp.sum(x * x) for x in leaves if jnp.issubdtype(x.dtype, jnp.floating))


@over("name", [name for name in ROWS if ROWS[name][2].strip()])
def test_static_arguments_are_arguments(name):
    names = re.findall(r"`(\w+)`", ROWS[name][2])
    assert names
    assert set(names) <= set(inspect.signature(function_of(name)).parameters)


@over("name", HOST)
def test_the_host_says_in_one_sentence_why_it_is_no_program(name):
    function = function_of(name)
    required = [
        argument
        for argument in inspect.signature(function).parameters.values()
        if argument.default is inspect.Parameter.empty
    ]

    def call(x):
        by_position = [x for argument in required if argument.kind != argument.KEYWORD_ONLY]
        by_name = {a.name: x for a in required if a.kind == a.KEYWORD_ONLY}
        return function(*by_position, **by_name)

    with pytest.raises((TypeError, ValueError), match=function.__name__) as error:
        jax.jit(call)(KERNELS)
    message = str(error.value)
    assert "Tracer" not in message
    assert len(message) < 300
    assert "\n" not in message
