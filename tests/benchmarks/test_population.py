import math
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks import population as program
from benchmarks import scaling
from benchmarks._networks import Network, population
from benchmarks._weights import CHUNK, Weights, pool
from jfilters import open_checkpoint


@hypothesis.given(kernels=st.integers(10**5, 10**9), seed=st.integers(0, 99))
@hypothesis.settings(max_examples=10)
def test_a_population_has_about_as_many_kernels_as_asked_for(kernels, seed):
    networks = population(kernels, np.random.default_rng(seed))
    assert len(networks) == 60
    assert sum(n.kernels for n in networks) == pytest.approx(kernels, rel=0.05)
    assert max(n.width for n in networks) < 400  # memory does not grow with the population


def test_a_network_is_a_wide_residual_one():
    network = Network(width=32, blocks=2, classes=10)
    shapes = dict(network.tensors)
    assert network.name == "wrn-16-32"
    assert shapes["conv1.weight"] == (16, 3, 3, 3)
    assert shapes["layer2.0.conv1.weight"] == (64, 32, 3, 3)
    assert shapes["layer2.0.shortcut.weight"] == (64, 32, 1, 1)
    assert shapes["layer3.1.bn2.running_var"] == (128,)
    assert shapes["fc.weight"] == (10, 128)
    assert "layer2.1.shortcut.weight" not in shapes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("population")
    program.write_population(100_000, folder, seed=3)
    return folder


def test_files_are_what_their_networks_say(folder):
    networks = population(100_000, np.random.default_rng(3))
    files = sorted(folder.iterdir())
    for network, file in zip(networks, files, strict=True):
        arrays = load_file(file)
        assert {name: array.shape for name, array in arrays.items()} == dict(network.tensors)
        assert all(np.isfinite(array).all() for array in arrays.values())
        assert all(array.min() >= 0 for name, array in arrays.items() if "running_var" in name)
    stored = open_checkpoint(files[0]).layers
    assert sum(math.prod(s.shape[:2]) for s in stored) == networks[0].kernels


def test_models_are_no_copies_and_some_hold_dead_kernels(folder):
    rows = [load_file(file)["layer3.0.conv2.weight"].reshape(-1, 9) for file in folder.iterdir()]
    zero = [(row == 0).all(axis=1).mean() for row in rows]
    small = [(np.abs(row).max(axis=1) < 0.01 * np.abs(row).max()).mean() for row in rows]
    assert 5 < sum(share > 0 for share in zero) < 40
    assert sum(share > 0.01 for share in small) > sum(share > 0 for share in zero)
    correlations = np.array([np.corrcoef(row.T)[0, 1] for row in rows])
    assert np.ptp(correlations) > 0.2


def test_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    program.write_population(100_000, tmp_path, seed=3)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_tensors_come_in_small_pieces_beyond_the_end_of_the_pool():
    rng = np.random.default_rng(0)
    weights = Weights(pool(rng, 1000), rng)
    pieces = list(weights.tensor("conv.weight", (500, 500, 3, 3)))
    assert sum(map(len, pieces)) == 500 * 500 * 9
    assert max(map(len, pieces)) <= CHUNK
    assert {piece.dtype for piece in pieces} == {np.dtype(np.float32)}


def test_too_few_kernels_are_a_usage_error(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["population", "--kernels", "10", "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        program.main()
    assert "at least 100,000" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_a_scan_of_a_population_is_measured_and_drawn(tmp_path):
    found = scaling.measure(tmp_path / "populations", 1e5, orthogonality=True)
    assert found.checkpoints == 60
    assert found.kernels == pytest.approx(1e5, rel=0.05)
    assert found.size == sum(
        f.stat().st_size for f in tmp_path.rglob("populations/*/*.safetensors")
    )
    assert found.peak_memory > 50e6
    assert min(found.reading, found.wall, found.cpu) > 0
    scaling.write([found], tmp_path / "results")
    assert f"{found.kernels:,} | yes |" in (tmp_path / "results" / "population.md").read_text()
    assert (tmp_path / "results" / "population.png").stat().st_size > 10_000


def test_a_program_that_fails_ends_the_measurement(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a scan makes its folder where it runs
    with pytest.raises(SystemExit, match="jfilters_cli"):
        scaling.run("jfilters_cli", "scan", "--checkpoints", str(tmp_path / "nothing"))
