import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.errors import CheckpointError, UnreadableError
from jfilters.statistics import Basis, load_basis, save_basis
from jfilters.statistics.internal import basis_arrays

BASIS = Basis(
    mean=np.linspace(-0.1, 0.1, 9),
    components=np.linalg.qr(np.random.default_rng(0).normal(size=(9, 9)))[0],
    variance_ratio=np.full(9, 1 / 9),
)
ARRAYS = basis_arrays(BASIS)
NAMES = ("mean", "components", "variance_ratio")


def assert_same(a, b):
    for name in NAMES:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_round_trip_leaves_one_file(tmp_path):
    save_basis(tmp_path / "basis.safetensors", BASIS)
    assert_same(load_basis(tmp_path / "basis.safetensors"), BASIS)
    assert os.listdir(tmp_path) == ["basis.safetensors"]


def test_saving_again_replaces(tmp_path):
    other = Basis(
        mean=BASIS.mean + 1, components=BASIS.components, variance_ratio=BASIS.variance_ratio
    )
    for basis in (BASIS, other):
        save_basis(tmp_path / "basis", basis)
    assert_same(load_basis(tmp_path / "basis"), other)


def test_reads_it_out_of_a_scan(tmp_path):
    path = tmp_path / "arrays.safetensors"
    save_file(ARRAYS | {"histogram": np.zeros((3, 9, 70), np.int64), "edges": np.zeros(71)}, path)
    assert_same(load_basis(path), BASIS)


WRONG = {
    "no key": ({"basis.components": None}, "basis.components", "found no such key"),
    "no mean": ({"basis.mean": None}, "basis.mean", "found no such key"),
    "float32": ({"basis.mean": np.zeros(9, np.float32)}, "basis.mean", "F64 .* found F32"),
    "scalar": ({"basis.mean": np.zeros(())}, "basis.mean", r"shape \(d,\) .* found \(\)"),
    "empty": ({"basis.mean": np.zeros(0)}, "basis.mean", r"d from 1 to 4096, found \(0,\)"),
    "too long": (
        {"basis.mean": np.zeros(5000)},
        "basis.mean",
        r"d from 1 to 4096, found \(5000,\)",
    ),
    "other d": ({"basis.components": np.eye(4)}, "basis.components", r"\(9, 9\), found .*\(4, 4\)"),
    "nan": ({"basis.mean": np.full(9, np.nan)}, "basis.mean", "finite numbers"),
    "not orthonormal": ({"basis.components": np.ones((9, 9))}, "basis.components", "orthonormal"),
    "overflow": ({"basis.components": np.full((9, 9), 1e300)}, "basis.components", "orthonormal"),
    "ratio": ({"basis.variance_ratio": np.ones(9)}, "basis.variance_ratio", "sum of 9"),
    "negative": (
        {"basis.variance_ratio": np.array([2, -1, 0, 0, 0, 0, 0, 0, 0.0])},
        "basis.variance_ratio",
        "at least 0",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content_is_refused(tmp_path, case):
    changes, key, message = WRONG[case]
    path = tmp_path / "wrong.safetensors"
    arrays = {name: value for name, value in (ARRAYS | changes).items() if value is not None}
    save_file(arrays, path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_basis(path)
    assert caught.value.tensor == key
    assert str(path) in str(caught.value)
    assert "save_basis" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", pickle.dumps(1), b"\xff" * 64, b"\x00" * 8])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        load_basis(tmp_path / "other")


def test_truncated_file_is_refused(tmp_path):
    save_basis(tmp_path / "whole", BASIS)
    (tmp_path / "part").write_bytes((tmp_path / "whole").read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        load_basis(tmp_path / "part")


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo"])
def test_no_file(tmp_path, kind):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(UnreadableError, match="found no file"):
        load_basis(path)
