"""Traces of training in a file: what BatchNorm counted, and whether it left running statistics."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.converters import open_checkpoint
from jfilters.converters._counters import find_counters
from jfilters.converters._stored import StoredArray

KERNEL = ("conv.weight", (8, 4, 3, 3))


def array(name, shape=(8,), value=None, **fields):
    def read():
        if value is None:
            raise AssertionError(f"{name} was read")
        return np.full(shape, value)

    return StoredArray(name, shape, "float32", read, **fields)


STATISTICS = {
    "torch": ["bn.weight", "bn.running_mean", "bn.running_var"],
    "keras 2": ["bn/gamma", "bn/moving_mean", "bn/moving_variance"],
    "flax": ["batch_stats/bn/mean", "batch_stats/bn/var"],
    "haiku": ["net/bn/~/var_ema/hidden", "net/bn/~/var_ema/average"],
}
OTHERS = {
    "a norm of layers": ["ln.weight", "ln.bias"],
    "one statistic": ["bn/var"],
    "a codebook": ["quantizer/mean"],
    "a list of four": ["layers/0", "layers/1", "layers/2", "layers/3"],
}


@pytest.mark.parametrize("case", STATISTICS)
def test_running_statistics(case):
    counters = find_counters([array(*KERNEL), *map(array, STATISTICS[case])], "torch")
    assert counters.has_batchnorm is True


def test_the_numbered_statistics_of_keras_3():
    numbered = [array(f"layers/bn/vars/{i}", reason="normalization") for i in range(4)]
    assert find_counters(numbered, "keras").has_batchnorm is True
    assert find_counters(numbered[:2], "keras").has_batchnorm is False


@pytest.mark.parametrize("case", OTHERS)
def test_other_arrays_are_none(case):
    counters = find_counters([array(*KERNEL), *map(array, OTHERS[case])], "torch")
    assert counters.has_batchnorm is False


def test_a_graph_tells_by_what_reads_an_array():
    used = array("11", reason="used by BatchNormalization, not by a convolution")
    bias = array("12", reason="bias of Conv conv1")
    assert find_counters([array(*KERNEL), used, bias], "onnx").has_batchnorm
    assert find_counters([array(*KERNEL), bias], "onnx").has_batchnorm is False


@pytest.mark.parametrize("format", ["equinox", "filterdb"])
def test_a_format_without_names_does_not_tell(format):
    assert find_counters([array(*KERNEL), array("[1]")], format).has_batchnorm is None


def test_an_array_by_itself_does_not_tell():
    assert find_counters([array("kernels", (8, 4, 3, 3))], "numpy").has_batchnorm is None


def counted(*values, name="bn{}.num_batches_tracked"):
    return [array(name.format(i), (), value) for i, value in enumerate(values)]


class TestUpdates:
    def test_the_larger_of_the_first_and_the_last(self):
        assert find_counters(counted(10, None, 30), "torch").updates("x") == 30
        assert find_counters(counted(30, None, 10), "torch").updates("x") == 30
        assert find_counters(counted(7), "torch").updates("x") == 7

    def test_the_counters_of_haiku(self):
        names = ["net/bn/~/mean_ema/counter", "net/bn/~/var_ema/counter"]
        arrays = [array(name, (), 5) for name in names]
        assert find_counters(arrays, "torch").updates("x") == 5
        assert find_counters([array("net/data/counter", (), 5)], "torch").updates("x") is None

    @pytest.mark.parametrize("value", [-1, np.nan, np.inf, 1e300])
    def test_a_value_that_is_no_count(self, value):
        assert find_counters(counted(value), "torch").updates("x") is None
        assert find_counters(counted(value, 4), "torch").updates("x") == 4

    def test_one_that_cannot_be_read(self):
        assert find_counters(counted(None), "torch").updates("x") is None

    def test_none_without_a_counter(self, tmp_path):
        save_file({"conv.weight": np.ones((8, 4, 3, 3), np.float32)}, tmp_path / "net")
        checkpoint = open_checkpoint(tmp_path / "net")
        assert (checkpoint.updates, checkpoint.has_batchnorm) == (None, False)

    def test_of_a_file(self, tmp_path):
        arrays = {
            "conv.weight": np.ones((8, 4, 3, 3), np.float32),
            "bn.running_var": np.ones(8, np.float32),
            "bn.num_batches_tracked": np.array(123),
        }
        save_file(arrays, tmp_path / "net")
        checkpoint = open_checkpoint(tmp_path / "net")
        assert (checkpoint.updates, checkpoint.has_batchnorm) == (123, True)
        assert "bn.num_batches_tracked" in [skipped.name for skipped in checkpoint.skipped]
