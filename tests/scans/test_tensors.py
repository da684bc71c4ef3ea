"""Arrays are written as safetensors writes them, to the last byte, and narrow counts as int64."""

import numpy as np
from safetensors.numpy import save_file

from jfilters.scans._tensors import save_arrays
from jfilters.scans.internal import NarrowArrays, narrow


def test_the_bytes_are_those_of_safetensors(tmp_path):
    rng = np.random.default_rng(0)
    dtypes = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
    arrays = {f"näme {x}": rng.integers(0, 9, (3, 2)).astype(x) for x in dtypes}
    arrays |= {"empty": np.zeros((0, 9)), "scalar": np.full((), 1.0), "a": np.zeros(5)}
    save_file(arrays, tmp_path / "theirs")
    save_arrays(arrays, tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_narrow_counts_are_written_and_read_as_int64(tmp_path):
    counts = {"histogram": np.arange(120).reshape(2, 3, 20), "zeros": np.zeros((2, 3), np.int64)}
    narrow_arrays = NarrowArrays({name: narrow(array) for name, array in counts.items()})
    assert narrow_arrays.as_stored("histogram").dtype == np.uint8
    save_file(counts, tmp_path / "wide")
    save_arrays(narrow_arrays, tmp_path / "narrow")
    assert (tmp_path / "narrow").read_bytes() == (tmp_path / "wide").read_bytes()
    for name, array in counts.items():
        assert narrow_arrays[name].dtype == np.int64
        np.testing.assert_array_equal(narrow_arrays[name], array)
