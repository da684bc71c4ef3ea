import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from jfilters_cli._app import app
from typer.testing import CliRunner

from jfilters.questions import phenotypes
from jfilters.statistics import normalize, phenotype, project

from ..scans.scans import made_scan, replaced, save_folder


@pytest.fixture
def scan(tmp_path):
    """Two models; of the first layers 300 kernels each were sampled, of the others 20."""
    made = made_scan(tmp_path / "scan", {"a.pt": 2, "b.pt": 2})
    rng = np.random.default_rng(0)
    layer = np.repeat(np.arange(4), [300, 20, 300, 20])
    sample = rng.standard_normal((640, 9)).astype(np.float32)
    # The kernels of the second model are three, over and over.
    sample[320:620] = sample[rng.integers(320, 323, 300)]
    return replaced(made, sample=sample, sample_layer=layer)


def test_by_model(scan):
    found = phenotypes(scan)
    assert [(row.label, row.layers, row.kernels) for row in found.groups] == [
        ("a.pt", 2, 320),
        ("b.pt", 2, 320),
    ]
    assert [row.phenotype.label for row in found.groups] == ["sun", "spikes"]


def test_coefficients_are_those_of_the_basis(scan):
    moved = replaced(scan, **{"basis.mean": np.linspace(-0.5, 0.5, 9)})
    found = phenotypes(moved).groups[0].phenotype
    points = project(normalize(jnp.asarray(scan.sample[:320])), moved.basis)[:, :2]
    expected = phenotype(np.asarray(points, np.float64))
    np.testing.assert_allclose(found.features, expected.features, atol=5e-3)


def test_by_layer_and_too_few_kernels(scan):
    found = phenotypes(scan, "layer")
    assert [row.label for row in found.groups] == [
        "a.pt: conv0.weight",
        "a.pt: conv1.weight",
        "b.pt: conv0.weight",
        "b.pt: conv1.weight",
    ]
    assert [row.phenotype is None for row in found.groups] == [False, True, False, True]
    record = found.record()["groups"][1]
    assert (record["phenotype"], record["reason"]) == (None, "too few kernels: below 200")


def test_along_an_axis(scan):
    found = phenotypes(scan, "first_layer")
    assert [(row.label, row.kernels) for row in found.groups] == [("first", 600), ("later", 40)]
    with pytest.raises(ValueError, match="did you mean first_layer"):
        phenotypes(scan, "first_layers")


def test_layers_without_a_label_are_counted(scan):
    column = ["x", None, None, None]
    layers = scan.layer_table.append_column("task", [column])
    found = phenotypes(dataclasses.replace(scan, layer_table=layers), "task")
    assert (found.unknown, [row.label for row in found.groups]) == (3, ["x"])


def test_kernels_that_are_not_finite_are_left_out(scan):
    sample = scan.sample.copy()
    sample[0, 0], sample[1, 1] = np.nan, np.inf
    assert phenotypes(replaced(scan, sample=sample)).groups[0].kernels == 318


@pytest.mark.parametrize("sample", [None, np.zeros((0, 9), np.float32)])
def test_a_scan_without_a_sample(scan, sample):
    with pytest.raises(ValueError, match="without `--sample 0`"):
        phenotypes(replaced(scan, sample=sample, sample_layer=np.zeros(0, np.int64)))


class TestCommand:
    def run(self, scan, *arguments: str):
        save_folder(scan)
        runner = CliRunner(env={"COLUMNS": "80"})
        return runner.invoke(app, ["phenotypes", str(scan.folder), *arguments])

    def test_text(self, scan):
        done = self.run(scan, "--by", "layer")
        assert (done.exit_code, done.stderr) == (0, "")
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "4 groups by layer: 1 sun, 1 spikes, 0 symbols, 0 point, 2 of too few" in done.stdout

    def test_json_of_some_layers(self, scan):
        done = self.run(scan, "--format", "json", "--where", "model == 'b.pt'")
        found = json.loads(done.stdout)
        assert [(x["label"], x["phenotype"]) for x in found["groups"]] == [("b.pt", "spikes")]
        assert found["groups"][0]["in_spots"] > 0.9
