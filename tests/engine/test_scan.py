"""A scan of a folder against float64 NumPy, and what it does with bad and odd checkpoints."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.engine import Options, scan
from jfilters.engine.internal import measure_checkpoints
from jfilters.scans.internal import model_drift
from jfilters.statistics import load_basis

from . import reference


def network(seed, *, width=24, smooth=0.0):
    rng = np.random.default_rng(seed)

    def conv(out, inner):
        w = rng.standard_normal((out, inner, 3, 3)) * rng.gamma(1, 1, (out, inner, 1, 1))
        w += smooth * w.mean(axis=(2, 3), keepdims=True)
        return (0.1 * w).astype(np.float32)

    weights = {"conv1.weight": conv(width, 3), "conv2.weight": conv(2 * width, width)}
    weights["conv2.weight"][:5] *= 1e-4  # sparse kernels
    weights["conv2.weight"][5, :3] = 0  # zero kernels
    return weights | {"fc.weight": rng.standard_normal((4, 7)).astype(np.float32)}


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("a", "b", "deep/c")):
        path = tmp_path / "in" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(network(seed, smooth=float(seed)), path, metadata={"format": "pt"})
    return tmp_path / "in"


def convolutions(folder, name):
    weights = safetensors.numpy.load_file(folder / name)
    return [weights[key].astype(np.float64) for key in sorted(weights) if weights[key].ndim == 4]


MODELS = ["a.safetensors", "b.safetensors", "deep/c.safetensors"]


def all_rows(folder, models=MODELS):
    return np.concatenate([w.reshape(-1, 9) for name in models for w in convolutions(folder, name)])


def test_quality_of_every_layer_is_that_of_the_formulas(folder, tmp_path):
    scan(folder).save(tmp_path / "out")
    table = pq.read_table(tmp_path / "out/layers.parquet").to_pylist()
    expected = [(name, w) for name in MODELS for w in convolutions(folder, name)]
    assert [row["model"] for row in table] == [name for name, _ in expected]
    for row, (_, w) in zip(table, expected, strict=True):
        rows = w.reshape(-1, 9)
        sparse = reference.sparse(rows)
        assert row["n_kernels"] == len(rows)
        assert row["n_zero"] == (rows == 0).all(axis=1).sum()
        assert row["n_sparse"] == sparse.sum()
        assert row["variance_entropy"] == pytest.approx(reference.variance_entropy(rows), rel=1e-5)
        clean = reference.variance_entropy(rows[~sparse])
        assert row["variance_entropy_clean"] == pytest.approx(clean, rel=1e-5)
        assert row["orthogonality"] == pytest.approx(reference.orthogonality(w), rel=1e-5)
        assert row["l1"] == pytest.approx(np.abs(w).sum(), rel=1e-5)
        assert row["l2"] == pytest.approx(np.linalg.norm(w), rel=1e-5)


@pytest.mark.parametrize("policy", ["fixed", "data"])
def test_basis_histograms_and_drift_are_those_of_the_formulas(folder, policy):
    found = scan(folder, Options(range=policy))
    mean, components, ratio = reference.basis(all_rows(folder))
    np.testing.assert_allclose(found.basis.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.basis.components, components, atol=2e-4)
    np.testing.assert_allclose(found.basis.variance_ratio, ratio, rtol=1e-5)
    if policy == "fixed":
        np.testing.assert_allclose(found.edges, np.linspace(-3.3, 3.3, 71))
    else:
        c = (reference.normalized(all_rows(folder)) - mean) @ components.T
        np.testing.assert_allclose(found.edges, np.linspace(c.min(), c.max(), 71), atol=1e-3)
    counts = [
        reference.histograms(all_rows(folder, [name]), mean, components, found.edges)
        for name in MODELS
    ]
    matrix = model_drift(found)
    assert found.model_names == MODELS
    p = [reference.probabilities(c, found.edges) for c in counts]
    for i in range(3):
        for j in range(3):
            assert matrix[i, j] == pytest.approx(
                reference.drift(p[i], p[j], ratio), abs=1e-4, rel=1e-2
            )
    assert not np.diag(matrix).any()
    assert matrix[0, 2] > matrix[0, 1] > 0


def test_every_kernel_is_in_every_histogram_once(folder):
    found = measure_checkpoints(folder)
    assert (found.statistics.histogram.sum(axis=2) == found.statistics.n_finite[:, None]).all()


def test_files_are_those_of_the_contract(folder, tmp_path):
    scan(folder).save(out := tmp_path / "out")
    assert sorted(p.name for p in out.iterdir()) == [
        "arrays.safetensors",
        "drift-model.csv",
        "layers.parquet",
        "models.parquet",
        "scan.json",
    ]
    record = json.loads((out / "scan.json").read_text())
    assert set(record) >= {"versions", "device", "config", "seed", "totals", "checkpoints"}
    assert record["totals"]["kernels"] == len(all_rows(folder))
    keys = {"model", "path", "bytes", "sha256", "format", "status", "reason"}
    assert all(set(entry) >= keys for entry in record["checkpoints"])
    arrays = safetensors.numpy.load_file(out / "arrays.safetensors")
    assert arrays["histogram"].shape == (6, 9, 70)
    assert arrays["histogram"].dtype == np.int64
    assert arrays["edges"].shape == (71,)
    assert arrays["basis.components"].shape == (9, 9)
    with open(out / "drift-model.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["", *MODELS]
    assert [row[0] for row in rows] == MODELS
    models = pq.read_table(out / "models.parquet").to_pylist()
    assert [row["n_layers"] for row in models] == [2, 2, 2]


def test_a_scans_own_basis_gives_the_same_histograms_in_one_pass(folder, tmp_path):
    first = scan(folder)
    first.save(tmp_path / "out")
    stages = []
    again = scan(
        folder,
        basis=load_basis(tmp_path / "out/arrays.safetensors"),
        progress=lambda stage, done, total: stages.append(stage),
    )
    np.testing.assert_array_equal(again.histogram, first.histogram)


def test_two_scans_write_the_same_bytes(folder, tmp_path):
    for name in ("one", "two"):
        scan(folder).save(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_a_bad_checkpoint_stops_nothing_and_changes_nothing(folder, tmp_path):
    whole = measure_checkpoints(folder)
    cut = (folder / "a.safetensors").read_bytes()[:-100]
    (folder / "broken.safetensors").write_bytes(cut)
    (folder / "notes.txt").write_text("not weights")
    found = measure_checkpoints(folder)
    np.testing.assert_array_equal(found.statistics.histogram, whole.statistics.histogram)
    (lost,) = [entry for entry in found.entries if entry.status == "refused"]
    assert lost.model == "broken.safetensors"
    assert "broken.safetensors" in lost.reason
    assert [path.name for path in found.ignored] == ["notes.txt"]


def test_a_checkpoint_lost_between_the_passes_leaves_no_trace_in_the_basis(folder):
    expected = measure_checkpoints(folder)
    doomed = folder / "doomed.safetensors"
    save_file(network(9, smooth=5.0), doomed, metadata={"format": "pt"})

    def remove_it(stage, done, total):
        if stage == "histograms":
            doomed.unlink(missing_ok=True)

    found = measure_checkpoints(folder, progress=remove_it)
    assert [entry.status for entry in found.entries] == ["ok", "ok", "ok", "failed"] or sorted(
        entry.status for entry in found.entries
    ) == ["failed", "ok", "ok", "ok"]
    np.testing.assert_array_equal(found.basis.components, expected.basis.components)
    np.testing.assert_array_equal(found.statistics.histogram, expected.statistics.histogram)


def test_no_kernels_at_all_is_an_answer(tmp_path):
    save_file({"fc.weight": np.ones((3, 4), np.float32)}, tmp_path / "dense.safetensors")
    found = scan(tmp_path)
    (entry,) = found.record["checkpoints"]
    assert entry["status"] == "empty"
    assert "no 3x3 convolution among its 1 arrays" in entry["reason"]
    found.save(tmp_path / "out")
    assert pq.read_table(tmp_path / "out/layers.parquet").num_rows == 0


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such file or folder"):
        scan(tmp_path / "nowhere")


def test_one_file_is_a_scan_of_one(folder):
    found = scan(folder / "a.safetensors")
    assert [entry["model"] for entry in found.record["checkpoints"]] == ["a.safetensors"]


def test_other_kernel_sizes(tmp_path):
    rng = np.random.default_rng(0)
    weights = {
        "a.weight": rng.standard_normal((8, 4, 5, 5)).astype(np.float32),
        "b.weight": rng.standard_normal((8, 8, 3, 3)).astype(np.float32),
    }
    save_file(weights, tmp_path / "m.safetensors", metadata={"format": "pt"})
    found = scan(tmp_path, Options(spatial=(5, 5)))
    assert found.layer_table["n_kernels"].to_pylist() == [32]
    assert found.basis.components.shape == (25, 25)
    assert found.edges[-1] == pytest.approx(1.1 * 5)


def test_layers_beyond_one_block_are_whole(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((420, 400, 3, 3)).astype(np.float32)
    save_file({"w.weight": weight}, tmp_path / "big.safetensors", metadata={"format": "pt"})
    found = scan(tmp_path)
    rows = weight.reshape(-1, 9).astype(np.float64)
    mean, components, _ = reference.basis(rows)
    expected = reference.histograms(rows, mean, components, found.edges)
    assert (found.histogram.sum(axis=(1, 2)) == 9 * len(rows)).all()
    # Components of white noise are arbitrary up to rotation: compare in the scan's own basis.
    own = reference.histograms(rows, found.basis.mean, found.basis.components, found.edges)
    assert np.abs(found.histogram[0] - own).sum() <= 1e-4 * own.sum()
    assert expected.sum() == own.sum()


class TestNumbers:
    def scanned(self, tmp_path, weight):
        save_file({"c.weight": weight}, tmp_path / "m.safetensors", metadata={"format": "pt"})
        (found := scan(tmp_path)).save(tmp_path / "out")
        (row,) = pq.read_table(tmp_path / "out/layers.parquet").to_pylist()
        return found, row

    @pytest.fixture
    def weight(self):
        return np.random.default_rng(1).standard_normal((12, 11, 3, 3)).astype(np.float32)

    def test_nan_and_infinity_are_counted_and_enter_nothing(self, tmp_path, weight):
        weight[0, 0, 1, 1], weight[3, 2, 0, 0] = np.nan, -np.inf
        found, row = self.scanned(tmp_path, weight)
        assert (row["n_kernels"], row["n_nonfinite"], row["verdict"]) == (132, 2, "non-finite")
        finite = weight.reshape(-1, 9)
        finite = finite[np.isfinite(finite).all(axis=1)].astype(np.float64)
        expected = reference.variance_entropy(finite)
        assert row["variance_entropy"] == pytest.approx(expected, rel=1e-5)
        assert row["orthogonality"] is None
        assert found.histogram.sum() == 9 * 130

    def test_all_nan(self, tmp_path, weight):
        found, row = self.scanned(tmp_path, np.full_like(weight, np.nan))
        assert (row["verdict"], row["sparsity"], found.arrays) == ("non-finite", None, {})

    def test_all_zero(self, tmp_path, weight):
        _, row = self.scanned(tmp_path, np.zeros_like(weight))
        assert (row["verdict"], row["sparsity"], row["n_zero"]) == ("all-zero", 1.0, 132)

    def test_constant(self, tmp_path, weight):
        _, row = self.scanned(tmp_path, np.full_like(weight, 0.3))
        assert row["variance_entropy"] == 0

    def test_one_kernel(self, tmp_path, weight):
        _, row = self.scanned(tmp_path, weight[:1, :1])
        assert row["variance_entropy"] is None
        assert row["orthogonality"] is None
        assert row["verdict"] == "too-few-kernels"

    @pytest.mark.parametrize("factor", [1e38, 1e-38, 1e-41])
    def test_extreme_scales_change_no_shape(self, tmp_path, weight, factor):
        # Powers of two, so that denormals aside nothing is rounded.
        scaled = np.ldexp(weight / 8, int(np.log2(factor)))
        rows = scaled.reshape(-1, 9).astype(np.float64)
        _, row = self.scanned(tmp_path, scaled)
        assert row["variance_entropy"] == pytest.approx(reference.variance_entropy(rows), rel=1e-5)
        assert row["l2"] == pytest.approx(np.linalg.norm(rows), rel=1e-5)
        assert row["max_abs"] == np.abs(rows).max()
        assert row["n_zero"] == 0

    def test_equal_up_to_sign(self, tmp_path, weight):
        signs = np.random.default_rng(0).choice([-1, 1], (12, 11, 1, 1))
        _, row = self.scanned(tmp_path, (weight[:1, :1] * signs).astype(np.float32))
        assert row["variance_entropy"] == pytest.approx(0, abs=1e-5)
        assert row["verdict"] == "low-diversity"


def test_a_basis_of_another_kernel_size_is_refused(folder):
    basis = scan(folder).basis
    with pytest.raises(ValueError, match="expected a basis for 5x5 kernels, got one of 9 taps"):
        scan(folder, Options(spatial=(5, 5)), basis=basis)


def test_a_checkpoint_beyond_the_allowed_size_is_refused(folder):
    sizes = {entry.model: entry.bytes for entry in measure_checkpoints(folder).entries}
    (folder / "huge.safetensors").write_bytes(bytes(max(sizes.values()) + 1))
    found = measure_checkpoints(folder, Options(max_bytes=max(sizes.values())))
    (lost,) = [entry for entry in found.entries if entry.status == "refused"]
    assert "more than the" in lost.reason
    assert lost.reason.endswith("raise --max-bytes to read it")


def test_strict_ends_with_the_first_error(folder):
    (folder / "a-broken.safetensors").write_bytes(b"1234567")
    with pytest.raises(CheckpointError, match=r"a-broken\.safetensors"):
        scan(folder, Options(strict=True))


def test_strict_ends_when_a_checkpoint_is_lost_on_the_way(folder):
    def remove_it(stage, done, total):
        if stage == "histograms":
            (folder / "b.safetensors").unlink(missing_ok=True)

    with pytest.raises(CheckpointError, match=r"b\.safetensors"):
        scan(folder, Options(strict=True), progress=remove_it)
