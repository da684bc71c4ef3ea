"""One Scan: in memory, saved and opened, and merged it is one class that gives the same answers."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters
from jfilters import questions
from jfilters.scans import Scan, merge_scans, open_scan
from jfilters.scans.internal import model_drift

from .scans import same

METHODS = {
    "drift": "drift_between",
    "axes": "axes_table",
    "quality": "quality",
    "nearest": "nearest",
    "trajectory": "trajectories",
    "phenotypes": "phenotypes",
    "check": "check",
    "densities": "fit_densities",
}
RULES = '[[rule]]\nname = "big"\nrequire = "n_kernels > 9"\n'


def network(seed):
    rng = np.random.default_rng(seed)
    shapes = {"conv1.weight": (16, 4, 3, 3), "conv2.weight": (24, 16, 3, 3)}
    smooth = np.linspace(1, 0.2 + 0.2 * seed, 9).reshape(3, 3)
    return {
        name: (smooth * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two steps of a run, with a rule that both keep beside them."""
    folder = tmp_path_factory.mktemp("nets")
    for step in (1, 2):
        save_file(network(step), folder / f"run_{step}.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def scan(nets):
    return jfilters.scan(nets, progress=False)


@pytest.fixture(scope="module")
def opened(scan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "scan"
    scan.save(folder)
    return open_scan(folder)


@pytest.fixture(scope="module")
def without_kernels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dense")
    save_file({"fc.weight": np.ones((3, 4), np.float32)}, folder / "fc.safetensors")
    return jfilters.scan(folder, progress=False)


class TestSame:
    def test_one_class(self, scan, opened):
        merged, _ = merge_scans([scan])
        assert type(scan) is type(opened) is type(merged) is Scan is jfilters.Scan

    def test_tables_arrays_and_record(self, scan, opened):
        assert same(opened, scan)
        assert set(opened.arrays) == set(scan.arrays)
        assert json.loads(json.dumps(scan.record)) == opened.record

    @pytest.mark.parametrize(
        "question",
        [
            lambda scan, nets: scan.drift("model"),
            lambda scan, nets: scan.drift("first_layer", permutations=50, balance="models"),
            lambda scan, nets: scan.quality(),
            lambda scan, nets: scan.axes(),
            lambda scan, nets: scan.phenotypes(),
            lambda scan, nets: scan.trajectory(),
            lambda scan, nets: scan.nearest(nets / "run_1.safetensors"),
        ],
        ids=["drift", "first_layer", "quality", "axes", "phenotypes", "trajectory", "nearest"],
    )
    def test_answers(self, scan, opened, nets, question):
        first, second = (json.dumps(question(x, nets).record()) for x in (scan, opened))
        assert first == second

    def test_a_model_of_the_scan_is_nearest_to_itself(self, scan, nets):
        near = scan.nearest(str(nets / "run_2.safetensors")).near["run_2.safetensors"]
        assert (near[0].model, near[0].drift) == ("run_2.safetensors", 0)


class TestMethods:
    def test_tables_are_frames(self, scan):
        assert scan.layers.index.names == ["model", "layer"]
        assert list(scan.models.index) == ["run_1.safetensors", "run_2.safetensors"]

    def test_where(self, scan):
        part = scan.where("depth == 0")
        assert part.layer_table["layer"].to_pylist() == ["conv1.weight"] * 2
        assert part.drift(permutations=0).sizes[0].layers == 1

    def test_check(self, scan, tmp_path):
        (tmp_path / "rules.toml").write_text(RULES)
        assert scan.check(tmp_path / "rules.toml").holds

    def test_report(self, scan, tmp_path):
        scan.report(tmp_path / "page.html")
        assert "run_1.safetensors" in (tmp_path / "page.html").read_text("utf-8")

    def test_figures(self, scan, tmp_path):
        paths = scan.figures(tmp_path / "figures", only=["basis"], formats=["svg"])
        assert paths == (tmp_path / "figures/basis.svg",)
        assert paths[0].is_file()

    def test_completion_shows_them(self, scan):
        names = {*METHODS, "report", "figures", "layers", "models", "save", "where"}
        assert names <= set(dir(scan))

    @pytest.mark.parametrize("method", METHODS)
    def test_help_is_that_of_the_question_without_its_scan(self, scan, method):
        question = getattr(questions, METHODS[method])
        expected = list(inspect.signature(question).parameters)
        assert expected[0] == "scan"
        assert list(inspect.signature(getattr(scan, method)).parameters) == expected[1:]
        assert inspect.getdoc(getattr(scan, method)) == inspect.getdoc(question)


class TestMerged:
    def test_the_matrix_is_written_too(self, scan, nets, tmp_path):
        save_file(network(3), tmp_path / "three.safetensors", {"format": "pt"})
        other = jfilters.scan(tmp_path / "three.safetensors", basis=scan.basis, progress=False)
        merged, _ = merge_scans([scan, other])
        merged.save(tmp_path / "merged")
        lines = (tmp_path / "merged/drift-model.csv").read_text("utf-8").splitlines()
        rows = [line.split(",") for line in lines]
        names = ["run_1.safetensors", "run_2.safetensors", "three.safetensors"]
        assert rows[0] == ["", *names]
        assert [row[0] for row in rows[1:]] == names
        matrix = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
        np.testing.assert_array_equal(matrix, model_drift(merged))
        np.testing.assert_allclose(matrix[:2, :2], model_drift(scan), rtol=1e-12)


class TestWithoutKernels:
    def test_its_tables_have_no_rows(self, without_kernels):
        assert without_kernels.layer_table.num_rows == without_kernels.model_table.num_rows == 0
        assert without_kernels.model_names == []
        assert dict(without_kernels.arrays) == {}
        assert "0 layers, 0 kernels" in repr(without_kernels)
        assert without_kernels.layers.empty
        assert without_kernels.models.empty

    @pytest.mark.parametrize(
        "question",
        [lambda scan: scan.drift(), lambda scan: scan.drift("format"), lambda scan: scan.basis],
        ids=["model", "format", "basis"],
    )
    def test_questions_of_kernels_name_the_remedy(self, without_kernels, question):
        with pytest.raises(ValueError, match=r"expected 3x3 kernels that vary.*--spatial"):
            question(without_kernels)

    def test_saved_it_is_refused_with_the_same_remedy(self, without_kernels, tmp_path):
        without_kernels.save(tmp_path / "out")
        assert not (tmp_path / "out/drift-model.csv").exists()
        with pytest.raises(ValueError, match=r"expected 3x3 kernels that vary.*--spatial"):
            open_scan(tmp_path / "out")


def test_a_scan_is_not_changed_by_its_questions(scan):
    before = dataclasses.replace(scan, arrays={k: x.copy() for k, x in scan.arrays.items()})
    scan.drift(permutations=10)
    scan.where("depth == 0").quality()
    assert same(before, scan)
