"""Equinox files: leaves by place or by a module's paths, never shifted, never unpickled."""

import io
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters import _equinox, _equinox_like, _numpy, detect, load
from jfilters.errors import CheckpointError
from jfilters.io import _npy as _npy


class Net(eqx.Module):
    stem: eqx.nn.Conv2d
    blocks: list[eqx.Module]
    up: eqx.nn.ConvTranspose2d
    table: jax.Array
    rate: float = 0.5
    steps: int = 3
    act: object = jax.nn.relu


def build(key) -> Net:
    return Net(
        stem=eqx.nn.Conv2d(3, 8, 3, key=key),
        blocks=[eqx.nn.Conv1d(8, 8, 5, groups=4, key=key), eqx.nn.Linear(8, 8, key=key)],
        up=eqx.nn.ConvTranspose2d(8, 4, 2, groups=2, key=key),
        table=jnp.zeros((8, 4, 6)),
    )


SHAPES = eqx.filter_eval_shape(build, jax.random.key(0))


def net(seed: int = 0, dtype=np.float32) -> Net:
    rng = np.random.default_rng(seed)

    def filled(leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return jnp.asarray(rng.normal(size=leaf.shape).astype(np.float32).astype(dtype))

    return jax.tree.map(filled, SHAPES)


def save(path, tree, line: str | None = None):
    with open(path, "wb") as file:
        if line is not None:
            file.write((line + "\n").encode())
        eqx.tree_serialise_leaves(file, tree)
    return path


def by_name(arrays) -> dict:
    return {array.name: array for array in arrays}


@pytest.mark.parametrize("line", [None, json.dumps({"width": 8}), json.dumps([1, "é" * 5000])])
def test_leaves_are_read_with_and_without_a_line_of_json(tmp_path, line):
    path = save(tmp_path / "net.eqx", net(), line)
    expected = [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(net(), eqx.is_array_like))]
    found = _equinox.arrays(path)
    assert [array.name for array in found] == [f"leaf.{i}" for i in range(len(expected))]
    for array, leaf in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array.read(), leaf)
    assert detect(path).name == "equinox"


def test_a_bias_is_told_from_a_weight_by_its_shape(tmp_path):
    stem, bias, *_ = _equinox.arrays(save(tmp_path / "net.eqx", net()))
    assert (stem.axes, stem.reason) == ("OIHW", None)
    assert (bias.shape, bias.reason) == ((8, 1, 1), "bias")


def test_a_module_names_its_leaves_and_knows_its_convolutions(tmp_path):
    path = save(tmp_path / "net.eqx", net())
    found = by_name(_equinox_like.equinox_arrays(path, net(1)))
    stem, block, up = found["stem.weight"], found["blocks.0.weight"], found["up.weight"]
    assert (stem.axes, stem.groups, stem.transposed) == ("OIHW", 1, False)
    assert (block.shape, block.axes, block.groups) == ((8, 2, 5), "OIHW", 4)
    assert (up.shape, up.axes, up.groups, up.transposed) == ((4, 4, 2, 2), "OIHW", 2, True)
    assert {found[f"{name}.bias"].reason for name in ("stem", "blocks.0", "up")} == {"bias"}
    assert {"blocks.1.weight", "table", "rate", "steps"} < found.keys()
    np.testing.assert_array_equal(up.read(), net().up.weight)


def test_shapes_alone_are_enough(tmp_path):
    path = save(tmp_path / "net.eqx", net())
    found = by_name(_equinox_like.equinox_arrays(path, SHAPES))
    np.testing.assert_array_equal(found["stem.weight"].read(), net().stem.weight)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_extended_dtypes_are_read(tmp_path, dtype):
    module = net(dtype=dtype)
    path = save(tmp_path / "net.eqx", module)
    stem = by_name(_equinox_like.equinox_arrays(path, module))["stem.weight"]
    expected = np.asarray(module.stem.weight)
    assert stem.dtype == expected.dtype.name
    assert stem.read().dtype == expected.dtype
    np.testing.assert_array_equal(stem.read().view(np.uint8), expected.view(np.uint8))


def test_a_bfloat16_scalar_is_read(tmp_path):
    path = save(tmp_path / "a.eqx", (jnp.bfloat16(2.5), jnp.ones(3)))
    scalar, _ = _equinox.arrays(path)
    assert (scalar.shape, scalar.dtype, float(scalar.read())) == ((), "bfloat16", 2.5)


def test_optimizer_state_beside_the_model_is_no_network(tmp_path):
    params = eqx.filter(net(), eqx.is_inexact_array)
    tree = (net(), jax.tree.map(np.asarray, optax.adam(1e-3).init(params)))
    found = _equinox_like.equinox_arrays(save(tmp_path / "a.eqx", tree), tree)
    moments = [array for array in found if ".mu." in array.name or ".nu." in array.name]
    assert {array.reason for array in moments} == {"optimizer state"}
    assert [array.name for array in found if array.transposed and array.reason is None] == [
        "0.up.weight"
    ]


@pytest.mark.parametrize("is_like", [True, False])
def test_stacked_convolutions_come_out_one_by_one(tmp_path, is_like):
    stem = net().stem
    stack = jax.tree.map(lambda leaf: jnp.asarray(np.stack([leaf + i for i in range(5)])), stem)
    path = save(tmp_path / "a.eqx", stack)
    kernels = load(path, like=stack if is_like else None)
    assert len(kernels) == 5
    for number, weight in enumerate(kernels.weights):
        np.testing.assert_array_equal(weight, stem.weight + number)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (lambda: (net(), jnp.ones(2)), r"1: the first leaf missing .*: expected 12 .*found 11"),
        (lambda: eqx.tree_at(lambda n: n.table, net(), None), r"rate: expected float64 \(\)"),
        (lambda: eqx.tree_at(lambda n: n.steps, net(), None), r"leaf\.10: the first leaf left"),
        (lambda: eqx.tree_at(lambda n: n.stem.bias, net(), None), r"blocks\.0\.weight: expected"),
        (lambda: eqx.tree_at(lambda n: n.steps, net(), 3.0), r"steps: expected float64 \(\)"),
        (lambda: eqx.tree_at(lambda n: n.table, net(), jnp.ones((8, 4, 6), jnp.float16)),
         r"table: expected float16 \(8, 4, 6\), found float32 \(8, 4, 6\)"),
        (lambda: eqx.tree_at(lambda n: n.table, net(), jnp.ones((4, 8, 6))),
         r"table: expected float32 \(4, 8, 6\), found float32 \(8, 4, 6\)"),
        (lambda: net(dtype=jnp.bfloat16), r"stem\.weight: expected bfloat16"),
    ],
)  # fmt: skip
def test_a_wrong_module_is_refused_at_the_first_leaf_that_differs(tmp_path, like, message):
    path = save(tmp_path / "net.eqx", net())
    with pytest.raises(CheckpointError, match=message):
        _equinox_like.equinox_arrays(path, like())


def test_a_pickled_leaf_is_never_read(tmp_path):
    path = tmp_path / "a.eqx"
    with open(path, "wb") as file:
        np.save(file, np.ones(3))
        np.save(file, np.array([None, {}]), allow_pickle=True)
        np.save(file, np.ones(3))
    with pytest.raises(CheckpointError, match=r"a\.eqx: leaf\.1: an object array"):
        _equinox.arrays(path)


def test_bytes_after_the_last_leaf_are_refused(tmp_path):
    path = save(tmp_path / "net.eqx", net())
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(CheckpointError, match=r"leaf\.11: expected a \.npy record"):
        _equinox.arrays(path)


def test_too_many_leaves_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_npy, "MOST_RECORDS", 3)
    path = save(tmp_path / "net.eqx", net())
    with pytest.raises(CheckpointError, match="more than 3 arrays"):
        _equinox.arrays(path)


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_equinox, "LONGEST_LINE", 100)
    path = save(tmp_path / "net.eqx", net(), json.dumps("x" * 200))
    assert not _equinox.recognizes(path, path.read_bytes()[:512])
    with pytest.raises(CheckpointError, match="one line of JSON of at most 100 bytes"):
        _equinox.arrays(path)


def content(tree) -> bytes:
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, tree)
    return file.getvalue()


def read_or_refuse(path) -> int:
    """How many leaves could be read; any error but CheckpointError is a failure of the test."""
    try:
        return sum(array.read() is not None for array in _equinox.arrays(path))
    except CheckpointError:
        return 0


def test_truncation_at_any_page_loses_leaves_or_is_refused(tmp_path):
    whole = content((net(), jnp.ones((32, 32, 3, 3))))
    path = tmp_path / "net.eqx"
    for length in range(4096, len(whole), 4096):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"leaf\.\d+: "):
            _equinox.arrays(path)


@given(
    flips=st.lists(st.integers(0, 1 << 20), max_size=4),
    length=st.integers(0, 1 << 20),
    line=st.booleans(),
)
def test_damage_is_refused_or_harmless(tmp_path_factory, flips, length, line):
    damaged = bytearray((b'{"a": 1}\n' if line else b"") + content(net()))
    for flip in flips:
        damaged[flip // 8 % len(damaged)] ^= 1 << flip % 8
    path = tmp_path_factory.mktemp("damage") / "net.eqx"
    path.write_bytes(damaged[: length % len(damaged)])
    assert 0 <= read_or_refuse(path) <= 11
    assert _equinox.recognizes(path, bytes(damaged[:512])) in (True, False)


@pytest.mark.parametrize(
    ("tree", "line", "format"),
    [
        ((jnp.ones(3), jnp.ones(2)), None, "equinox"),
        ((jnp.ones(3), jnp.ones(2)), "{}", "equinox"),
        ((jnp.ones(3),), "{}", "equinox"),
        ((jnp.ones(3),), None, "numpy"),
    ],
)
def test_equinox_and_numpy_are_told_apart(tmp_path, tree, line, format):
    path = save(tmp_path / "a.bin", tree, line)
    head = path.read_bytes()[:512]
    assert detect(path).name == format
    assert _equinox.recognizes(path, head) != _numpy.recognizes(path, head)


@pytest.mark.parametrize(
    "head", [b"", b"{", b"{}\n", b"[1]\n\x93NUMP", b"\x93NUMPY\x01\x00\xff\xff"]
)
def test_other_files_are_not_recognized(tmp_path, head):
    path = tmp_path / "a.eqx"
    path.write_bytes(head)
    assert not _equinox.recognizes(path, head)
    assert not _equinox.recognizes(tmp_path / "missing", b"{}\n")


def test_the_single_leaf_of_a_headerless_file_is_an_npy_file(tmp_path):
    path = save(tmp_path / "a.eqx", jnp.ones((4, 3, 3, 3)))
    (array,) = _numpy.arrays(path)
    assert array.shape == (4, 3, 3, 3)
