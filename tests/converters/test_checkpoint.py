from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jfilters import CheckpointError, Layer
from jfilters.converters import StoredArray, StoredLayer, load, open_checkpoint
from jfilters.converters._axes import Arrangement
from jfilters.errors import UnreadableError


def layer(read, shape=(2, 3, 3, 3), axes="OIHW"):
    stored = StoredArray("a.weight", shape, "float32", read)
    arrangement = Arrangement(axes)
    return StoredLayer(
        Layer("a.weight"), arrangement.shape(shape), Path("x.pth"), stored, arrangement
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "weights"
    weights = {
        "a.weight": np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3),
        "b.weight": np.ones((4, 2, 5, 5), np.float16),
        "fc.weight": np.ones((4, 2), np.float32),
    }
    safetensors.numpy.save_file(weights, path, {"format": "pt"})
    return path


@pytest.mark.parametrize("kind", [str, Path])
def test_a_checkpoint_is_its_layers_and_what_was_skipped(path, kind):
    checkpoint = open_checkpoint(kind(path))
    assert (checkpoint.path, checkpoint.format) == (path, "safetensors")
    assert [item.layer.name for item in checkpoint.layers] == ["a.weight", "b.weight"]
    assert [item.shape for item in checkpoint.layers] == [(2, 3, 3, 3), (4, 2, 5, 5)]
    assert [skip.name for skip in checkpoint.skipped] == ["fc.weight"]


def test_loading_gives_arrays_of_jax_in_float32(path):
    kernels = load(path)
    assert all(isinstance(weight, jax.Array) for weight in kernels.weights)
    assert [weight.dtype for weight in kernels.weights] == ["float32", "float32"]
    assert [item.dtype for item in kernels.layers] == ["float32", "float16"]
    assert kernels.count() == 6


def test_a_checkpoint_without_convolutions_is_no_error(tmp_path):
    safetensors.numpy.save_file({"fc.weight": np.ones((4, 2), np.float32)}, tmp_path / "w")
    checkpoint = open_checkpoint(tmp_path / "w")
    assert checkpoint.layers == ()
    assert len(load(tmp_path / "w")) == 0


def test_the_caller_may_tell_the_axes(tmp_path):
    weight = np.arange(81, dtype=np.float32).reshape(3, 3, 3, 3)
    safetensors.numpy.save_file({"a.weight": weight}, tmp_path / "w")
    assert open_checkpoint(tmp_path / "w").layers == ()
    told = load(tmp_path / "w", axes="HWIO")
    np.testing.assert_array_equal(told.weights[0], weight.transpose(3, 2, 0, 1))


def test_unknown_axes_are_refused_before_the_path_is_looked_at():
    with pytest.raises(ValueError, match="axes: expected one of OIHW") as caught:
        open_checkpoint("nowhere", axes="NHWC")
    assert not isinstance(caught.value, CheckpointError)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16, np.dtype(">f4")])
def test_values_are_widened_and_contiguous(dtype):
    values = np.linspace(-2, 2, 54).astype(dtype).reshape(3, 3, 3, 2)
    weight = layer(lambda: values, values.shape, "HWIO").read()
    expected = values.astype(np.float32).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(weight, expected, strict=True)
    assert weight.flags.c_contiguous
    assert weight.flags.aligned


def test_strided_and_unaligned_values_are_straightened():
    strided = np.arange(108, dtype=np.float32)[::-2].reshape(3, 3, 3, 2).T
    unaligned = np.frombuffer(bytes(1 + 54 * 4), np.uint8)[1:].view(np.float32)
    for values in (strided, unaligned.reshape(2, 3, 3, 3)):
        weight = layer(lambda values=values: values).read()
        np.testing.assert_array_equal(weight, values)
        assert weight.flags.c_contiguous
        assert weight.flags.aligned


def test_values_beyond_float32_become_infinite():
    weight = layer(lambda: np.full((2, 3, 3, 3), -1e300)).read()
    assert np.isneginf(weight).all()


def test_values_of_another_shape_are_refused():
    with pytest.raises(
        CheckpointError, match=r"x.pth: a.weight: expected values of shape \(2, 3, 3"
    ):
        layer(lambda: np.zeros((2, 3))).read()


@pytest.mark.parametrize(
    "kind", [KeyError, EOFError, RecursionError, MemoryError, ZeroDivisionError]
)
def test_whatever_a_reader_raises_names_path_and_tensor(kind):
    def read() -> np.ndarray:
        raise kind("inside")

    with pytest.raises(
        CheckpointError, match=f"x.pth: a.weight: damaged .*{kind.__name__}"
    ) as caught:
        layer(read).read()
    assert isinstance(caught.value.__cause__, kind)


def test_the_operating_system_is_quoted():
    def read() -> np.ndarray:
        raise OSError(5, "Input/output error")

    with pytest.raises(UnreadableError, match=r"x.pth: a.weight: Input/output error"):
        layer(read).read()
