"""One file of densities: the same log-densities in a fresh process, and every damage named."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jfilters.density import (
    FitOptions,
    dequantize,
    fit_many,
    load_densities,
    log_probs,
    save_densities,
)
from jfilters.errors import CheckpointError

pytestmark = pytest.mark.slow

SIZES = {"layers": 2, "width": 8}
LOADED = """
import sys
import jax, numpy as np
from jfilters.density import load_densities, log_probs
saved = load_densities(sys.argv[1])
kernels = np.load(sys.argv[2])
np.save(sys.argv[3], log_probs(saved.densities, jax.numpy.asarray(kernels)))
"""


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(0)
    kernels = dequantize(jax.random.key(0), rng.standard_normal((400, 4))).kernels
    return fit_many(
        jax.random.key(1), kernels.reshape(2, 200, 4), options=FitOptions(**SIZES, epochs=1)
    )


@pytest.fixture
def path(tmp_path, fits):
    path = tmp_path / "two.density"
    save_densities(path, fits.densities, ("a", "b"), **SIZES, details={"seed": 7})
    return path


def header_of(path):
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["jfilters.density"])


class TestRoundTrip:
    def test_a_fresh_process_gives_the_same_bits(self, path, fits, tmp_path):
        rng = np.random.default_rng(1)
        kernels = rng.uniform(-1, 1, (2, 50, 4)).astype(np.float32)
        np.save(tmp_path / "kernels.npy", kernels)
        command = [sys.executable, "-c", LOADED, path, tmp_path / "kernels.npy", tmp_path / "x.npy"]
        subprocess.run(command, check=True)
        expected = log_probs(fits.densities, jnp.asarray(kernels))
        np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)

    def test_the_header_can_be_read(self, path):
        header = header_of(path)
        assert (header["labels"], header["seed"], header["d"]) == (["a", "b"], 7, 4)
        assert set(header["versions"]) == {"jfilters", "jax", "equinox", "flowjax"}

    def test_one_is_taken_by_its_label(self, path, fits):
        kernel = jnp.array([0.5, -1.0, 0.25, 0.0])
        found = load_densities(path).density("b").log_prob(kernel)
        assert found == fits.density(1).log_prob(kernel)

    @pytest.mark.parametrize("label", [None, "c"])
    def test_another_label_names_those_there_are(self, path, label):
        with pytest.raises(ValueError, match="expected one of the labels a, b"):
            load_densities(path).density(label)


class TestDamage:
    def test_no_file(self, tmp_path):
        with pytest.raises(CheckpointError, match="density fit"):
            load_densities(tmp_path / "none")

    def test_no_safetensors(self, tmp_path):
        (tmp_path / "text").write_text("nothing of the kind")
        with pytest.raises(CheckpointError, match="expected a safetensors file"):
            load_densities(tmp_path / "text")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"version": 1}, "expected densities of version 2, got 1"),
            ({"version": 9}, "expected densities of version 2, got 9"),
            ({"d": 10**6}, "expected d of 1 to 1000"),
            ({"d": 1}, "2 taps or more"),
            ({"width": "8"}, "expected width"),
            ({"labels": []}, "expected labels"),
            ({"labels": ["a"]}, r"expected the shape \(1, "),
            ({"width": 16}, "expected (the shape|3,984 bytes)"),
        ],
    )
    def test_a_header_of_something_else(self, path, change, said):
        header = header_of(path)
        self.rewrite(path, header | change, load_file(path))
        with pytest.raises(CheckpointError, match=said):
            load_densities(path)

    def test_a_file_without_densities(self, path):
        save_file({"x": np.zeros(1)}, path)
        with pytest.raises(CheckpointError, match="found a safetensors file without"):
            load_densities(path)

    def test_an_array_that_is_gone(self, path):
        header = header_of(path)
        arrays = load_file(path)
        del arrays["log_face"]
        self.rewrite(path, header, arrays)
        with pytest.raises(CheckpointError, match="log_face: expected this array"):
            load_densities(path)

    def test_numbers_that_are_none(self, path):
        header = header_of(path)
        arrays = load_file(path)
        arrays["log_face"][0] = np.nan
        self.rewrite(path, header, arrays)
        with pytest.raises(CheckpointError, match="expected finite numbers"):
            load_densities(path)

    @staticmethod
    def rewrite(path, header, arrays):
        save_file(arrays, path, metadata={"jfilters.density": json.dumps(header)})


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    path = tmp_path / "bomb.safetensors"
    header = {"version": 2, "d": 1_000, "layers": 1_000, "width": 10_000, "labels": ["a"]}
    save_file({"x": np.zeros(1)}, path, {"jfilters.density": json.dumps(header)})
    with pytest.raises(CheckpointError, match="bytes of densities, found a file of"):
        load_densities(path)
