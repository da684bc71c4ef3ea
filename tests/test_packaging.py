"""The wheel holds what it should, and works once installed where there is no source tree."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[1]
LOCATE = "import jfilters, jfilters_cli; print(jfilters.__file__); print(jfilters_cli.__file__)"


def run(*command: object, cwd: Path = ROOT) -> str:
    # Of the surroundings only what pip and JAX need: nothing that leads back into the source tree.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    (built,) = folder.glob("*.whl")
    return built


def check_installed(environment: Path, tmp_path: Path) -> None:
    """Use the installed wheel as a user would, from a folder that holds no source."""
    binaries = environment / "bin"
    for file in run(binaries / "python", "-c", LOCATE, cwd=tmp_path).splitlines():
        assert Path(file).is_relative_to(environment)
    assert "chesscv_pieces" in run(binaries / "jfilters", "zoo", "list", cwd=tmp_path)
    weight = np.random.default_rng(0).normal(size=(16, 8, 3, 3)).astype(np.float32)
    (tmp_path / "models").mkdir()
    save_file({"conv1.weight": weight}, tmp_path / "models" / "one.safetensors")
    run(binaries / "jfilters", "scan", "--checkpoints", "models", "--out", "scan", cwd=tmp_path)
    near = run(binaries / "jfilters", "nearest", "models/one.safetensors", cwd=tmp_path)
    assert "closest to one.safetensors" in near
    written = {file.name for file in (tmp_path / "scan").iterdir()}
    assert written >= {"scan.json", "layers.parquet", "models.parquet", "arrays.safetensors"}


def test_the_wheel_holds_types_presets_and_license_and_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    presets = {f"jfilters/configs/{file.name}" for file in (ROOT / "configs").glob("*.toml")}
    assert names >= {"jfilters/py.typed", "jfilters_cli/py.typed", *presets}
    assert len(presets) > 0
    assert "jfilters/registry/zoo.bundle" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"jfilters", "jfilters_cli"}


@pytest.mark.slow
def test_the_wheel_works_without_the_source_tree(wheel, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel)
    # The dependencies are borrowed. A path in a .pth file comes last, and .pth files there have no
    # effect: the editable install beside them stays out.
    borrowed = run(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(borrowed)
    check_installed(environment, tmp_path)


@pytest.mark.network
@pytest.mark.skipif("CI" not in os.environ, reason="downloads the core; set CI to run it")
def test_the_core_installs_by_itself_from_the_registry(wheel, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True, with_pip=True)
    constraints = ROOT / "constraints.txt"
    run(environment / "bin" / "pip", "install", "--quiet", wheel, "--constraint", constraints)
    check_installed(environment, tmp_path)
    installed = run(environment / "bin" / "pip", "list", "--format=freeze")
    assert not {"torch", "onnx", "h5py", "ray", "matplotlib"} & {
        line.partition("==")[0] for line in installed.splitlines()
    }
