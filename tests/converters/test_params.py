import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import freeze
from flax.training.train_state import TrainState

from jfilters.converters import from_params


def values(*shape):
    return jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)


def summary(kernels):
    return [(k.name, k.groups, k.transposed, weight.shape) for k, weight in kernels]


@pytest.fixture
def linen():
    return {
        "batch_stats": {"BatchNorm_0": {"mean": values(8)}},
        "params": {
            "Conv_0": {"bias": values(8), "kernel": values(3, 3, 3, 8)},
            "Conv_10": {"kernel": values(3, 3, 8, 4)},
            "Conv_2": {"kernel": values(3, 3, 1, 8)},
            "Dense_0": {"kernel": values(4, 2)},
        },
    }


LINEN = [
    ("Conv_0/kernel", 1, False, (8, 3, 3, 3)),
    ("Conv_2/kernel", 8, False, (8, 1, 3, 3)),
    ("Conv_10/kernel", 1, False, (4, 8, 3, 3)),
]


class TestLinen:
    def test_variables_parameters_and_frozen_ones(self, linen):
        for tree in (linen, linen["params"], freeze(linen), {"params": linen}):
            assert summary(from_params(tree)) == LINEN

    def test_values_are_permuted_and_exact(self, linen):
        expected = linen["params"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(from_params(linen).weights[0], expected)

    def test_sorted_dicts_are_in_the_order_of_their_names(self, linen):
        assert {layer.depth_source for layer in from_params(linen["params"]).layers} == {
            "name-order"
        }

    def test_other_dicts_are_in_their_own_order(self):
        tree = {name: {"kernel": values(3, 3, 2, 2)} for name in ("stem", "down", "up", "a_head")}
        kernels = from_params(tree)
        assert kernels.names == ("stem/kernel", "down/kernel", "up/kernel", "a_head/kernel")
        assert kernels.layers[0].depth_source == "registration-order"

    def test_boxed_parameters(self):
        box = nn.Partitioned(values(3, 3, 4, 8), names=(None,) * 4)
        assert summary(from_params({"a": {"kernel": box}})) == [
            ("a/kernel", 1, False, (8, 4, 3, 3))
        ]

    def test_a_train_state(self, linen):
        state = TrainState.create(apply_fn=print, params=linen["params"], tx=optax.adam(1e-3))
        assert [weight.shape for weight in from_params(state).weights] == [
            shape for *_, shape in sorted(LINEN, key=lambda item: item[0])
        ]


class Live(nnx.Module):
    def __init__(self, rngs):
        cheap = {"kernel_init": nnx.initializers.zeros, "use_bias": False, "rngs": rngs}
        self.stem = nnx.Conv(4, 8, (3, 3), feature_group_count=2, **cheap)
        self.body = nnx.List([nnx.Conv(8, 8, 3, feature_group_count=8, **cheap)])
        self.again = self.body[0]
        self.attention = nnx.LinearGeneral((4, 4), 2, axis=(-2, -1), **cheap)
        self.up = nnx.ConvTranspose(8, 6, (2, 2), **cheap)
        self.flipped = nnx.ConvTranspose(6, 5, (2, 2), transpose_kernel=True, **cheap)


NNX = [
    ("stem.kernel", 2, False, (8, 2, 3, 3)),
    ("body.0.kernel", 8, False, (8, 1, 3)),
    ("up.kernel", 1, True, (6, 8, 2, 2)),
    ("flipped.kernel", 1, True, (5, 6, 2, 2)),
]


class TestNnx:
    @pytest.fixture
    def live(self):
        live = Live(nnx.Rngs(0))
        numbered = jax.tree.map(lambda leaf: values(*leaf.shape), nnx.state(live, nnx.Param))
        nnx.update(live, numbered)
        return live

    def test_a_module_tells_groups_and_transposition(self, live):
        assert summary(from_params(live)) == NNX

    def test_values_are_permuted_and_exact(self, live):
        kernels = from_params(live)
        flipped = live.flipped.kernel.get_value().transpose(2, 3, 0, 1)
        np.testing.assert_array_equal(kernels.weights[3], flipped)

    def test_a_state(self, live):
        state = nnx.state(live, nnx.Param)
        shapes = {layer.name: weight.shape for layer, weight in from_params(state)}
        assert shapes["stem/kernel"] == (8, 2, 3, 3)

    def test_transformations_sort_what_a_module_registered(self, live):
        @nnx.jit
        def jitted(module):
            return from_params(module)

        kernels = jitted(live)
        assert kernels.layers[0].depth_source == "name-order"
        shapes = {layer.name: weight.shape for layer, weight in kernels}
        assert shapes == {name.replace("body.0", "again"): shape for name, _, _, shape in NNX}


class Tower(eqx.Module):
    last: eqx.nn.Conv2d
    first: eqx.nn.Conv1d
    up: eqx.nn.ConvTranspose2d
    more: list[eqx.nn.Conv3d]
    table: jax.Array


class TestEquinox:
    @pytest.fixture
    def tower(self):
        def make(key):
            return Tower(
                eqx.nn.Conv2d(4, 8, 3, groups=4, key=key),
                eqx.nn.Conv1d(4, 8, 5, key=key),
                eqx.nn.ConvTranspose2d(8, 4, 2, groups=2, key=key),
                [eqx.nn.Conv3d(2, 2, 3, use_bias=False, key=key)],
                jnp.ones((2, 2)),
            )

        shapes = eqx.filter_eval_shape(make, jax.random.key(0))
        return jax.tree.map(lambda leaf: values(*leaf.shape), shapes)

    def test_fields_are_the_order(self, tower):
        kernels = from_params(tower)
        assert summary(kernels) == [
            ("last.weight", 4, False, (8, 1, 3, 3)),
            ("first.weight", 1, False, (8, 4, 5)),
            ("up.weight", 2, True, (4, 4, 2, 2)),
            ("more.0.weight", 1, False, (2, 2, 3, 3, 3)),
        ]
        np.testing.assert_array_equal(kernels.weights[2], tower.up.weight[:, :, ::-1, ::-1])

    def test_filtered_modules(self, tower):
        parts, _ = eqx.partition(tower, eqx.is_inexact_array)
        assert len(from_params(parts)) == 4

    def test_under_jit(self, tower):
        jitted = eqx.filter_jit(from_params)(tower)
        assert jitted.layers == from_params(tower).layers
        jax.tree.map(np.testing.assert_array_equal, jitted, from_params(tower))


class TestTransformations:
    def test_jit_equals_no_jit(self, linen):
        plain, jitted = from_params(linen["params"]), jax.jit(from_params)(linen["params"])
        assert plain.layers == jitted.layers
        jax.tree.map(np.testing.assert_array_equal, plain, jitted)

    def test_vmap_equals_a_loop(self):
        trees = {"a": {"kernel": values(5, 3, 3, 4, 8)}}
        norms = jax.vmap(lambda tree: jnp.sum(from_params(tree).rows() ** 2, 1))(trees)
        loop = [
            jnp.sum(from_params({"a": {"kernel": k}}).rows() ** 2, 1) for k in trees["a"]["kernel"]
        ]
        np.testing.assert_allclose(norms, jnp.stack(loop))

    def test_grad_reaches_the_parameters(self):
        tree = {"a": {"kernel": values(3, 3, 4, 8)}, "d": {"kernel": values(4, 4)}}
        grad = jax.grad(lambda tree: jnp.sum(from_params(tree).rows() ** 2))(tree)
        np.testing.assert_allclose(grad["a"]["kernel"], 2 * tree["a"]["kernel"])
        np.testing.assert_array_equal(grad["d"]["kernel"], jnp.zeros((4, 4)))


class TestAnyPytree:
    def test_told_axes(self):
        tree = [values(3, 3, 3, 3), (values(3, 3, 3, 3), values(3))]
        kernels = from_params(tree, axes="OHWI")
        assert kernels.names == ("0", "1.0")
        np.testing.assert_array_equal(kernels.weights[0], tree[0].transpose(0, 3, 1, 2))
        assert len(from_params(tree)) == 0

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
    def test_the_dtype_is_kept(self, dtype):
        weight = values(8, 4, 3, 3).astype(dtype)
        (kept,) = from_params([weight]).weights
        assert kept.dtype == dtype

    def test_arrays_of_numpy_become_arrays_of_jax(self):
        (weight,) = from_params({"w": np.ones((8, 4, 3, 3), np.float32)}).weights
        assert isinstance(weight, jax.Array)

    @pytest.mark.parametrize("params", [{}, None, 3, "x", {"a": [None]}, object()])
    def test_no_arrays_at_all_are_an_error(self, params):
        with pytest.raises(ValueError, match="expected arrays of JAX or NumPy, found none in this"):
            from_params(params)

    def test_unknown_axes_are_named(self):
        with pytest.raises(ValueError, match="axes: expected one of"):
            from_params([values(3)], axes="NCHW")
