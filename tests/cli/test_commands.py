"""`jfilters formats`, `jfilters convert` and `jfilters export`: streams, exit codes and errors."""

import importlib.metadata
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError, load
from jfilters.converters import FORMATS, open_checkpoint

from .commands import fail, run


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    weights = {
        "conv.weight": rng.standard_normal((8, 4, 3, 3)).astype(np.float32),
        "fc.weight": np.ones((2, 8), np.float32),
    }
    path = tmp_path / "nets/net.safetensors"
    path.parent.mkdir()
    save_file(weights, path, metadata={"format": "pt"})
    return path


class TestFormats:
    def test_every_format_is_listed_within_80_columns(self):
        done = run("formats")
        assert (done.exit_code, done.stderr) == (0, "")
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "…" not in done.stdout
        for known in FORMATS.values():
            assert f"\n{known.name} " in done.stdout
            assert all(suffix in done.stdout for suffix in known.suffixes)

    def test_json_says_the_same(self):
        found = json.loads(run("formats", "--format", "json").stdout)
        assert [record["name"] for record in found] == list(FORMATS)
        by_name = {record["name"]: record for record in found}
        assert by_name["keras"] == {
            "name": "keras",
            "reads": FORMATS["keras"].reads,
            "suffixes": list(FORMATS["keras"].suffixes),
            "extra": "keras",
            "installed": True,
        }
        assert by_name["numpy"]["extra"] is None
        assert by_name["numpy"]["installed"]

    def test_a_missing_extra_is_said_with_its_remedy(self, monkeypatch):
        version = importlib.metadata.version

        def without_h5py(package):
            if package == "h5py":
                raise importlib.metadata.PackageNotFoundError(package)
            return version(package)

        monkeypatch.setattr("jfilters.report._formats.version", without_h5py)
        by_name = {r["name"]: r for r in json.loads(run("formats", "--format", "json").stdout)}
        assert not by_name["keras"]["installed"]
        assert by_name["torch"]["installed"]
        assert "pip install '.[keras]'" in run("formats", columns=200).stdout


class TestConvert:
    @pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
    def test_the_file_reads_as_the_original(self, network, suffix):
        done = run("convert", network, "-o", f"kernels{suffix}")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == f"wrote kernels{suffix} (layers: 1, skipped arrays: 1)\n"
        original, again = load(network), load(f"kernels{suffix}")
        assert again.layers == original.layers
        np.testing.assert_array_equal(again.weights[0], original.weights[0])

    def test_axes_are_passed_on(self, tmp_path):
        np.savez(tmp_path / "in.npz", x=np.ones((3, 3, 3, 3), np.float32))
        done = run("convert", tmp_path / "in.npz", "-o", tmp_path / "out.npz", "--axes", "HWIO")
        assert done.exit_code == 0
        assert open_checkpoint(tmp_path / "out.npz").layers[0].layer.axes == "HWIO"

    def test_what_cannot_be_done_is_one_line(self, network, monkeypatch, capsys):
        said = fail(monkeypatch, capsys, "convert", network, "-o", "kernels.pt")
        assert said == "error: kernels.pt: expected a name that ends in .safetensors or .npz\n"
        said = fail(monkeypatch, capsys, "convert", "nets/net.safetensor", "-o", "k.npz")
        assert said.endswith("no such file or folder; did you mean net.safetensors?\n")

    def test_without_an_output_it_is_wrong_usage(self, network):
        done = run("convert", network)
        assert done.exit_code == 2
        assert "--output" in done.stderr


class TestExport:
    @pytest.fixture
    def scanned(self, network):
        assert run("scan", "--checkpoints", "nets", "--out", "out").exit_code == 0
        return network

    def test_the_kernels_of_a_scan(self, scanned):
        done = run("export", "out", "--to", "filterdb", "-o", "all.h5")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "wrote all.h5: 32 kernels\n"
        np.testing.assert_array_equal(
            np.ravel(load("all.h5").weights[0]), np.ravel(load(scanned).weights[0])
        )

    def test_a_changed_checkpoint_is_one_line(self, scanned, monkeypatch, capsys):
        scanned.write_bytes(scanned.read_bytes()[:-4] + b"\0\0\0\0")
        arguments = ("export", "out", "--to", "filterdb", "-o", "all.h5")
        assert isinstance(run(*arguments).exception, CheckpointError)
        said = fail(monkeypatch, capsys, *arguments)
        reason = "its sha256 is no longer the one in scan.json; scan the checkpoints again"
        assert said == f"error: nets/net.safetensors: {reason}\n"

    def test_an_unknown_target_is_wrong_usage(self, tmp_path):
        done = run("export", tmp_path, "--to", "parquet", "-o", "all.h5")
        assert done.exit_code == 2
        assert "filterdb" in done.stderr
