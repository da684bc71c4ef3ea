"""One network is read once, whatever copies of it and states of its training lie beside it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

from jfilters.converters import StoredArray, load, open_checkpoint
from jfilters.converters._copies import find_copies
from jfilters.converters._select import select
from jfilters.errors import CheckpointError

SHAPES = {"stem": (8, 3, 3, 3), "body.0": (16, 8, 3, 3), "body.1": (16, 16, 3, 3)}


def weights(seed):
    rng = np.random.default_rng(seed)
    return {
        f"{name}.weight": rng.normal(size=shape).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def near(values, by=0.2, seed=1):
    rng = np.random.default_rng(seed)
    return {
        name: (value + by * rng.normal(size=value.shape)).astype(np.float32)
        for name, value in values.items()
    }


def under(prefix, values):
    return {f"{prefix}.{name}": value for name, value in values.items()}


def stored(tree, network=""):
    return [
        StoredArray(
            name, value.shape, value.dtype.name, lambda v=value: v, axes="OIHW", network=network
        )
        for name, value in tree.items()
    ]


def names(arrays, **options):
    return [item.layer.name for item in select(arrays, "registration-order", **options)[0]]


def reasons(arrays):
    return {item.name: item.reason for item in select(arrays, "registration-order")[1]}


ONE, OTHER = weights(0), weights(7)
TWIN = near(ONE)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("model", "ema"),
        ("model", "averaged_model.module"),
        ("online", "target"),
        ("student.backbone", "teacher.backbone"),
        ("encoder_q", "encoder_k"),
        ("fast", "slow_weights"),
        ("state_dict", "best_state_dict"),
        ("alpha", "gamma"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_near_network_under_another_prefix_is_a_copy(first, second, is_first):
    one, twin = stored(under(first, ONE)), stored(under(second, TWIN))
    arrays = one + twin if is_first else twin + one
    kept = second if first == "alpha" and not is_first else first
    assert names(arrays) == [f"{kept}.{name}" for name in ONE]
    copies = [text for text in reasons(arrays).values() if " copy of " in text]
    assert len(copies) == len(ONE)


@pytest.mark.parametrize(
    ("first", "second"),
    [("teacher", "student"), ("netG_A", "netG_B"), ("model", "target"), ("max_pool", "avg_pool")],
)
def test_networks_of_one_architecture_trained_apart_stay_two(first, second):
    arrays = stored(under(first, ONE)) + stored(under(second, OTHER))
    assert len(names(arrays)) == 2 * len(ONE)


def test_a_generator_its_average_and_a_discriminator_are_two_networks():
    critic = {f"c{i}.weight": weights(3)["body.0.weight"][:, :, :, : 2 + i] for i in (0, 1)}
    arrays = stored(ONE, "g") + stored(TWIN, "g_ema") + stored(critic, "d")
    assert {name.split(".")[0] for name in names(arrays)} == {"g", "d"}


def test_an_average_beside_the_weights_themselves():
    arrays = stored(ONE) + stored(under("ema", TWIN))
    assert names(arrays) == list(ONE)
    dotless = {f"model_ema.{name.replace('.', '')}": value for name, value in TWIN.items()}
    assert names(stored(under("model", ONE)) + stored(dotless)) == list(under("model", ONE))


def test_an_average_that_spells_names_with_underscores():
    twin = {f"ema_{name.replace('.', '_')}": value for name, value in TWIN.items()}
    assert names(stored(ONE) + stored(twin)) == list(ONE)


def test_repeated_blocks_are_no_copies_and_are_not_read():
    def unread():
        raise AssertionError("blocks need no values")

    arrays = [
        StoredArray(f"layer{i}.{j}.conv{k}.weight", (8, 8, 3, 3), "float32", unread, axes="OIHW")
        for i in (1, 2)
        for j in (0, 1, 2)
        for k in (1, 2)
    ]
    assert len(names(arrays)) == 12


def test_a_list_in_the_order_of_the_parameters():
    def listed(values):
        return {f"shadow_params.{i}": value for i, value in enumerate(values.values())}

    for values in (TWIN, OTHER):
        arrays = stored(ONE, "model") + stored(listed(values), "ema")
        assert names(arrays) == list(ONE)
    gradients = {f"acc.{i}": value for i, value in enumerate(OTHER.values())}
    arrays = stored(ONE, "model") + stored(gradients, "state")
    assert names(arrays) == list(ONE)
    assert "gradients or moments" in reasons(arrays)["state.acc.0"]


def test_moments_are_told_by_having_no_negative_value():
    squares = {name: value**2 for name, value in OTHER.items()}
    arrays = stored(ONE, "net") + stored(OTHER, "first") + stored(squares, "second")
    assert names(arrays) == list(ONE)
    assert set(reasons(arrays).values()) == {"optimizer state"}


def test_networks_of_zeros_are_neither_copies_nor_moments():
    zeros = {name: np.zeros_like(value) for name, value in ONE.items()}
    arrays = stored(zeros, "a") + stored(zeros, "b")
    assert len(names(arrays)) == 2 * len(ONE)


def test_equal_arrays_count_once(tmp_path):
    values = ONE | {f"{name}.clone": value.copy() for name, value in ONE.items()}
    values |= {"zero.a": np.zeros((4, 4, 3, 3), "f4"), "zero.b": np.zeros((4, 4, 3, 3), "f4")}
    safetensors.numpy.save_file(values, tmp_path / "net.safetensors", {"format": "pt"})
    checkpoint = open_checkpoint(tmp_path / "net.safetensors")
    assert len(checkpoint.layers) == len(ONE) + 2
    same = [array for array in checkpoint.skipped if array.reason.startswith("the same values as")]
    assert len(same) == len(ONE)


@pytest.mark.parametrize("optimizer", [optax.adam(1e-3), optax.rmsprop(1e-3)])
@pytest.mark.parametrize("is_fresh", [True, False])
def test_the_state_behind_the_leaves_of_a_module(tmp_path, optimizer, is_fresh):
    keys = jax.random.split(jax.random.key(0), 3)
    net = [eqx.nn.Conv2d(4, 4, 3, key=key) for key in keys]
    arrays = eqx.filter(net, eqx.is_array)
    state = optimizer.init(arrays)
    if not is_fresh:
        with jax.numpy_dtype_promotion("standard"):
            _, state = optimizer.update(jax.tree.map(jnp.sin, arrays), state)
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", (net, state))
    kernels = load(tmp_path / "net.eqx")
    assert kernels.names == ("leaf.0", "leaf.2", "leaf.4")
    for weight, part in zip(kernels.weights, net, strict=True):
        np.testing.assert_array_equal(weight, part.weight)


def test_a_state_that_cannot_be_told_leaves_a_note(tmp_path):
    net = [eqx.nn.Conv2d(4, 4, 3, key=key) for key in jax.random.split(jax.random.key(0), 2)]
    trace = jax.tree.map(lambda leaf: jnp.flip(leaf) + 0.1, eqx.filter(net, eqx.is_array))
    eqx.tree_serialise_leaves(tmp_path / "net.eqx", (net, trace))
    layers = open_checkpoint(tmp_path / "net.eqx").layers
    assert len(layers) == 4
    assert all("`like` tells which" in layer.layer.note for layer in layers)


def test_an_average_is_read_by_its_name(tmp_path):
    safetensors.numpy.save_file(
        under("model", ONE) | under("ema", TWIN), tmp_path / "net.safetensors", {"format": "pt"}
    )
    path = tmp_path / "net.safetensors"
    assert {layer.network for layer in load(path).layers} == {"model"}
    average = load(path, network="ema")
    assert {layer.network for layer in average.layers} == {"ema"}
    assert {name.removeprefix("ema.") for name in average.names} == set(TWIN)
    for layer, weight in average:
        np.testing.assert_array_equal(weight, TWIN[layer.name.removeprefix("ema.")])
    with pytest.raises(CheckpointError, match="no network called 'eam'; it holds: ema, model"):
        load(path, network="eam")


def test_without_comparing_only_names_decide():
    arrays = stored(under("online", ONE)) + stored(under("target", OTHER))
    kept = [i.stored.name for i in select(arrays, "name-order", compare=False)[0]]
    assert sorted(kept) == sorted(under("online", ONE))
    arrays = stored(under("a", ONE)) + stored(under("b", TWIN))
    assert len(select(arrays, "name-order", compare=False)[0]) == 2 * len(ONE)


def test_what_cannot_be_read_is_no_copy():
    def broken():
        raise CheckpointError("truncated")

    arrays = stored(under("a", ONE)) + stored(under("b", TWIN))
    arrays = [dataclasses.replace(array, read=broken) for array in arrays]
    copies = find_copies(arrays, range(len(arrays)), compare=True)
    assert not copies.reasons
