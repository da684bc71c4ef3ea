"""The uniform pytree under jax's transformations, and its selections."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfilters import Kernels, Layer


@pytest.fixture
def kernels():
    rng = np.random.default_rng(0)
    shapes = {
        "stem": (8, 3, 3, 3),
        "mid.dw": (8, 1, 3, 3),
        "mid.wide": (4, 8, 5, 5),
        "last": (6, 4, 3, 3),
    }
    layers = tuple(
        Layer(name, depth=i, relative_depth=i / 3, groups=8 if name == "mid.dw" else 1)
        for i, name in enumerate(shapes)
    )
    weights = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes.values())
    return Kernels(weights=tuple(weights), layers=layers)


def test_leaves_are_the_weights_and_layers_are_static(kernels):
    assert len(jax.tree.leaves(kernels)) == 4
    doubled = jax.tree.map(lambda w: 2 * w, kernels)
    assert doubled.layers == kernels.layers
    np.testing.assert_array_equal(doubled.weights[0], 2 * kernels.weights[0])


def test_it_goes_through_jit_grad_and_vmap(kernels):
    def energy(k):
        return sum(jnp.sum(weight**2) for _, weight in k)

    assert jax.jit(energy)(kernels) == pytest.approx(float(energy(kernels)), rel=1e-6)
    slope = jax.grad(energy)(kernels)
    np.testing.assert_allclose(slope.weights[1], 2 * kernels.weights[1], rtol=1e-6)
    stacked = jax.tree.map(lambda w: jnp.stack([w, 3 * w]), kernels)
    np.testing.assert_allclose(jax.vmap(energy)(stacked)[1], 9 * energy(kernels), rtol=1e-5)


def test_rows_hold_every_kernel_of_the_size_in_layer_order(kernels):
    rows = kernels.rows((3, 3))
    assert rows.shape == (kernels.count((3, 3)), 9) == (8 * 3 + 8 + 6 * 4, 9)
    np.testing.assert_array_equal(rows[24:32], kernels.weights[1].reshape(8, 9))
    assert kernels.rows((7, 7)).shape == (0, 49)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ("stem", "mid.dw", "mid.wide", "last")),
        ({"name": "mid.*"}, ("mid.dw", "mid.wide")),
        ({"spatial": (5, 5)}, ("mid.wide",)),
        ({"depth": (0.5, 1.0)}, ("mid.wide", "last")),
        ({"depthwise": True}, ("mid.dw",)),
        ({"depthwise": False, "spatial": (3, 3)}, ("stem", "last")),
        ({"name": "nothing"}, ()),
    ],
)
def test_select(kernels, conditions, expected):
    assert kernels.select(**conditions).names == expected


def test_map_gives_one_result_a_layer(kernels):
    found = kernels.map(lambda rows: jnp.asarray(len(rows)))
    assert {name: int(n) for name, n in found.items()} == {
        "stem": 24,
        "mid.dw": 8,
        "mid.wide": 32,
        "last": 24,
    }


def test_repr_is_one_short_line(kernels):
    assert repr(kernels) == "Kernels(4 layers, spatial 3x3, 5x5)"


def test_a_layer_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"layer 'x': expected .* got 0, 1.5 and 1"):
        Layer("x", relative_depth=1.5)


def test_a_weight_without_a_layer_is_refused(kernels):
    with pytest.raises(ValueError, match="one weight a layer, got 4 and 3"):
        Kernels(weights=kernels.weights, layers=kernels.layers[:3])
