"""Blocks on every local device: eight give the integers that one gives."""

import os
import subprocess
import sys

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from safetensors.numpy import save_file

from jfilters.engine import scan

SCAN = """
import sys
from pathlib import Path
import jax
from jfilters.engine import scan
from jfilters.statistics import load_basis
assert len(jax.devices()) == 8
basis = load_basis(Path(sys.argv[3]))
scan(sys.argv[1], basis=basis).save(Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    rng = np.random.default_rng(0)
    shapes = [(420, 400, 3, 3), (1000, 3, 3, 3), (64, 64, 3, 3), (512, 512, 3, 3), (5, 7, 3, 3)]
    weights = {
        f"conv{i}.weight": rng.standard_normal(shape, np.float32) for i, shape in enumerate(shapes)
    }
    save_file(weights, folder / "net.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.slow
def test_eight_devices_count_as_one_does(folder, tmp_path):
    # XLA divides sums among as many threads as there are: a basis differs in its last bits.
    scan(folder).save(tmp_path / "one")
    basis = tmp_path / "one" / "arrays.safetensors"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", SCAN, str(folder), str(tmp_path / "eight"), str(basis)]
    subprocess.run(command, check=True, env=environment)
    one, eight = (
        safetensors.numpy.load_file(tmp_path / name / "arrays.safetensors")
        for name in ("one", "eight")
    )
    assert len(jax.devices()) == 1
    np.testing.assert_array_equal(eight["histogram"], one["histogram"])
    for name in ("raw.count", "clean.count", "normalized.count"):
        np.testing.assert_array_equal(eight[name], one[name])
    scatters = one["normalized.scatter"]
    np.testing.assert_allclose(eight["normalized.scatter"], scatters, atol=1e-6 * scatters.max())
    tables = [pq.read_table(tmp_path / name / "layers.parquet") for name in ("one", "eight")]
    for column in ("n_kernels", "n_zero", "n_sparse", "n_nonfinite", "verdict"):
        assert tables[0][column] == tables[1][column]
