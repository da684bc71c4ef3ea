import struct
import tracemalloc

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import msgpack
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import detect, load, open_checkpoint
from jfilters.converters._flax import FORMAT
from jfilters.io import _msgpack


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (3, 3))(x)
        x = nn.BatchNorm(use_running_average=True)(x)
        x = nn.Conv(8, (5, 5), feature_group_count=8)(x)
        x = nn.ConvTranspose(4, (2, 2), strides=(2, 2))(x)
        x = nn.Conv(16, (1, 1))(x)
        return nn.Dense(10)(x.mean((1, 2)))


class Live(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.blocks = nnx.List([nnx.Conv(8, 8, (3, 3), rngs=rngs) for _ in range(11)])
        self.norm = nnx.BatchNorm(8, rngs=rngs)


def filled(shapes):
    """Values for abstract parameters, which saves compiling an initializer."""
    key = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: key.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def variables():
    shapes = jax.eval_shape(Network().init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    return filled(shapes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


def saved(path, tree):
    path.write_bytes(flax.serialization.to_bytes(tree))
    return path


def serialized(path, tree):
    path.write_bytes(flax.serialization.msgpack_serialize(tree))
    return path


def contents(path):
    return {array.name: array.read() for array in FORMAT.arrays(path)}


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        FORMAT.arrays(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_agrees_with_its_own_library(path, variables):
    saved(path, variables)
    assert detect(path) is FORMAT
    oracle = flax.serialization.msgpack_restore(path.read_bytes())
    found = contents(path)
    kernel = oracle["params"]["Conv_0"]["kernel"]
    np.testing.assert_array_equal(found["Conv_0/kernel"], kernel, strict=True)
    mean = oracle["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_array_equal(found["batch_stats/BatchNorm_0/mean"], mean, strict=True)
    assert len(found) == len(jax.tree.leaves(oracle))


def test_the_layers_of_a_linen_file(path, variables):
    kernels = load(saved(path, variables))
    assert kernels.names == ("Conv_0/kernel", "Conv_1/kernel", "ConvTranspose_0/kernel")
    assert [weight.shape for weight in kernels.weights] == [
        (8, 3, 3, 3),
        (8, 1, 5, 5),
        (4, 8, 2, 2),
    ]
    assert [layer.groups for layer in kernels.layers] == [1, 8, 1]
    assert [layer.transposed for layer in kernels.layers] == [False, False, True]
    expected = variables["params"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(kernels.weights[0], expected)


def test_a_train_state_gives_its_parameters_alone(path, variables):
    state = TrainState.create(
        apply_fn=Network().apply, params=variables["params"], tx=optax.adam(1e-3)
    )
    checkpoint = open_checkpoint(saved(path, state))
    assert checkpoint.layers[0].layer.name == "Conv_0/kernel"
    assert len(checkpoint.layers) == 3
    moments = [skip for skip in checkpoint.skipped if skip.reason == "optimizer state"]
    assert len(moments) == 2 * len(jax.tree.leaves(variables["params"])) + 1


def test_an_nnx_state_and_one_with_value_leaves(path):
    live = nnx.eval_shape(lambda: Live(nnx.Rngs(0)))
    state = filled(nnx.to_pure_dict(nnx.state(live, nnx.Param)))
    kernels = load(saved(path, state))
    assert kernels.names[:4] == ("stem/kernel", *(f"blocks/{i}/kernel" for i in range(3)))
    assert kernels.names[-1] == "blocks/10/kernel"
    boxed = jax.tree.map(lambda leaf: {"value": leaf}, state)
    again = load(saved(path, boxed))
    assert again.names == kernels.names
    jax.tree.map(np.testing.assert_array_equal, again.weights, kernels.weights)


def test_several_networks_and_a_moving_average(path, variables):
    params = variables["params"]
    others = jax.tree.map(lambda leaf: np.roll(leaf, 1) - 0.5, params)
    tree = {"generator": {"params": params}, "discriminator": {"params": others}}
    names = [layer.layer.name for layer in open_checkpoint(serialized(path, tree)).layers]
    assert sorted({name.split(".")[0] for name in names}) == ["discriminator", "generator"]
    averaged = {"params": params, "ema_params": params, "step": 3}
    checkpoint = open_checkpoint(serialized(path, averaged))
    assert [layer.layer.name for layer in checkpoint.layers] == list(
        load(saved(path, variables)).names
    )
    copies = [s for s in checkpoint.skipped if s.reason.startswith("moving-average copy of ")]
    assert "ema_params.Conv_0/kernel" in [copy.name for copy in copies]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float32"])
def test_dtypes(path, dtype):
    kernel = jnp.linspace(-2, 2, 36).reshape(3, 3, 2, 2).astype(dtype)
    serialized(path, {"a": {"kernel": kernel}})
    (layer,) = open_checkpoint(path).layers
    assert layer.layer.dtype == dtype
    expected = np.asarray(kernel).astype(np.float32).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(layer.read(), expected, strict=True)


def test_other_values_are_no_arrays(path):
    tree = {
        "a": [1, -7, 300, 1.5, 2**40, "x", b"y", None, True, 3 + 4j],
        "b": np.float32(2),
        "c": "z" * 99_999,
    }
    serialized(path, tree)
    assert contents(path) == {"b": 2.0}


class TestChunks:
    def test_a_chunked_array_is_joined(self, path, monkeypatch):
        monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 100)
        kernel = np.arange(9 * 8 * 4, dtype=np.float32).reshape(3, 3, 8, 4)
        serialized(path, {"a": {"kernel": kernel}})
        assert b"__msgpack_chunked_array__" in path.read_bytes()
        np.testing.assert_array_equal(contents(path)["a/kernel"], kernel, strict=True)

    def chunked(self, shape=(2, 4), **chunks):
        chunks = {key[1:]: np.zeros(4, np.float32) for key in ("_0", "_1")} | chunks
        sizes = {str(i): size for i, size in enumerate(shape)}
        return {"a": {"__msgpack_chunked_array__": True, "shape": sizes, "chunks": chunks}}

    def test_a_missing_chunk_is_refused(self, path):
        tree = self.chunked()
        tree["a"]["chunks"]["2"] = tree["a"]["chunks"].pop("0")
        assert ": a: expected all chunks" in refusal(serialized(path, tree))

    def test_too_few_values_are_refused(self, path):
        tree = self.chunked(shape=(3, 4))
        assert "expected 48 bytes for float32 (3, 4), found 32" in refusal(serialized(path, tree))

    @pytest.mark.parametrize("chunk", [7, "x", np.zeros(2, np.float64)])
    def test_a_chunk_of_another_kind_is_refused(self, path, chunk):
        tree = self.chunked()
        tree["a"]["chunks"]["1"] = chunk
        assert "expected chunks that are arrays of one dtype" in refusal(serialized(path, tree))

    def test_no_chunks_at_all_are_refused(self, path):
        tree = {"a": {"__msgpack_chunked_array__": True}}
        assert "expected all chunks" in refusal(serialized(path, tree))


def record(shape, dtype, data, code=1):
    return {"a": msgpack.ExtType(code, msgpack.packb((shape, dtype, data)))}


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (record((2,), "object", bytes(16)), "a: expected numbers, found the dtype 'object'"),
        (record((2,), "V8", bytes(16)), "found the dtype 'V8'"),
        (record((2,), "(9999999,)f4", bytes(16)), "expected numbers"),
        (record((3,), "float32", bytes(8)), "expected 12 bytes for float32 (3,), found 8"),
        (record((2**40, 2**40), "float32", bytes(8)), "found 8"),
        (record((-2,), "float32", bytes(8)), "whole numbers as shape"),
        (record((2.0,), "float32", bytes(8)), "whole numbers as shape"),
        (record((2**62,) * 65, "float32", bytes(8)), "at most 64 whole numbers as shape"),
        (record((2,), "float32", "text"), "a record of shape, dtype and bytes"),
        (record((2,), 7, bytes(8)), "a record of shape, dtype and bytes"),
        ({"a": msgpack.ExtType(1, b"")}, "the file ends early"),
        ({"a": msgpack.ExtType(1, b"\x93\x90")}, "the file ends early"),
        ({"a": msgpack.ExtType(3, msgpack.packb(1))}, "a record of shape, dtype and bytes"),
    ],
)
def test_a_hostile_array_is_refused(path, tree, reason):
    path.write_bytes(msgpack.packb(tree))
    assert reason in refusal(path)


KEY = b"\x81\xa1a"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (KEY, "the file ends early"),
        (KEY + b"\xdb\xff\xff\xff\xff", "expected 4294967295 more bytes, found 0"),
        (KEY + b"\xc6\xff\xff\xff\xff", "expected 4294967295 more bytes, found 0"),
        (KEY + b"\xc9\xff\xff\xff\xff\x01", "expected 4294967295 more bytes, found 0"),
        (KEY + b"\xdd\xff\xff\xff\xff", "the file ends early"),
        (b"\xdf\xff\xff\xff\xff\xa1a\x01", "the file ends early"),
        (KEY + b"\x91" * 100, "64 nested levels"),
        (KEY + b"\xdc\xff\xff" + b"\x01" * 0xFFFF, "at most 1000 values"),
        (KEY + b"\xc1", "found the byte 0xc1"),
        (KEY + b"\x01\x01", "expected the end of the file"),
        (b"\x82\xa1a\x01\xa1a\x01", "expected a new string as a key, found 'a'"),
        (b"\x82\xa1a\x01\x90\x01", r"expected a new string as a key, found []"),
    ],
)
def test_hostile_bytes_are_refused_within_bounded_memory(path, data, reason, monkeypatch):
    monkeypatch.setattr(_msgpack, "MAX_ITEMS", 1000)
    path.write_bytes(data)
    assert detect(path) is FORMAT
    tracemalloc.start()
    try:
        assert reason in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x81",
        b"\x80\x02}q\x00",
        b"\x80",
        b"\x81\xa0",
        b"\x81\xa3\x00\x01\x02",
        b"\x81\x93",
        b"{}",
        b"\xde",
    ],
)
def test_what_is_no_map_with_a_name_is_not_recognized(path, head):
    assert not FORMAT.recognizes(path, head)


@pytest.mark.parametrize(
    "head", [b"\x81\xa1a", b"\xde\x00\x11\xa6params", b"\xdf\0\0\0\1\xd9\x21" + b"p" * 33]
)
def test_a_map_with_a_name_is_recognized(path, head):
    assert FORMAT.recognizes(path, head)


def test_truncation_at_every_page_is_noticed(path, variables):
    whole = flax.serialization.to_bytes(variables)
    for size in [*range(1, len(whole), 4096), *range(1, 400, 7), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            load(path)


def outcome(path):
    """What a hostile file says; any other error than `CheckpointError` fails the test."""
    try:
        load(path)
    except CheckpointError as error:
        return str(error)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_never_does_worse_than_refuse(path, variables, data):
    whole = bytearray(flax.serialization.to_bytes({"params": variables["params"]["Conv_1"]}))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    path.write_bytes(whole)
    assert outcome(path) is None or str(path) in outcome(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_random_bytes_never_do_worse_than_refuse(path, data):
    path.write_bytes(struct.pack(">BBB", 0x81, 0xA1, 0x61) + data)
    assert outcome(path) is None or str(path) in outcome(path)
