"""The wheel holds what it should, and works once installed where there is no source tree."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
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


def closure(requirements: list[str]) -> set[str]:
    """The names of all packages that requirements bring, by the metadata of what is installed."""
    names, stack = set(), [Requirement(text) for text in requirements]
    seen: set[tuple[str, str]] = set()
    while stack:
        requirement = stack.pop()
        name = canonicalize_name(requirement.name)
        names.add(name)
        for extra in {"", *requirement.extras} - {extra for (of, extra) in seen if of == name}:
            seen.add((name, extra))
            stack += [
                further
                for further in map(Requirement, distribution(name).requires or [])
                if further.marker is None or further.marker.evaluate({"extra": extra})
            ]
    return names


def pins(text: str) -> set[str]:
    """The names in a list of pinned versions; one for another Python or system counts too."""
    lines = (line for line in text.splitlines() if "==" in line)
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_the_pinned_list_is_complete_and_holds_nothing_else():
    # make installs the list as it stands, so that what it lacks would be missing.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    made = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made is not None
    every = [text for extra in made[1].split(",") for text in extras[extra]]
    demo, _, _ = (ROOT / "constraints.txt").read_text().partition("# Every other extra")
    core = [*project["dependencies"], *extras["plot"], "hatchling"]
    assert pins(demo) == closure(core)
    assert pins((ROOT / "constraints.txt").read_text()) == closure(core + every)


def test_the_pinned_versions_are_within_the_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    bounds = {canonicalize_name(bound.name): bound for bound in map(Requirement, texts)}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line:
            pin = Requirement(line)
            (version,) = (specifier.version for specifier in pin.specifier)
            bound = bounds.get(canonicalize_name(pin.name))
            assert bound is None or bound.specifier.contains(version), line
