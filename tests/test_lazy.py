"""What is imported when: the face nothing that computes, and no answer from a written scan JAX."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jfilters

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/scans/golden"
STUB = Path(jfilters.__file__).with_suffix(".pyi")

FACE = """
import json, sys
import jfilters
loaded = sorted(sys.modules)
for name in sys.argv[1:]:
    getattr(jfilters, name)
print(json.dumps({"loaded": loaded, "dir": dir(jfilters), "all": jfilters.__all__}))
"""

ANSWERS = """
import io, json, sys
from pathlib import Path
import numpy as np
from rich.console import Console
from safetensors.numpy import save_file
import jfilters
from jfilters.questions import lineage_of
from jfilters.report import csv_text, junit_xml, text
from jfilters.scans import merge_scans, open_scan, save_bundle

golden, out = Path(sys.argv[1]), Path(sys.argv[2])
scan = jfilters.open_scan(golden / "scan")
weights = np.random.default_rng(0).normal(size=(16, 16, 3, 3)).astype(np.float32)
(out / "nets").mkdir()
for name, dtype in (("a", np.float32), ("b", np.float16)):
    save_file({"conv.weight": weights.astype(dtype)}, out / f"nets/{name}.safetensors")
answers = {
    "drift": scan.drift(by="task"),
    "axes": scan.axes(permutations=20),
    "quality": scan.quality(),
    "trajectory": scan.trajectory(),
    "check": scan.check(golden / "rules.toml"),
    "phenotypes": scan.phenotypes(),
    "nearest": scan.nearest(golden / "scan.card"),
    "lineage": lineage_of([out / "nets"])[0],
}
merged, _ = merge_scans([scan, open_scan(golden / "scan.card")])
merged.save(out / "merged")
save_bundle(merged, out / "merged.bundle")
assert open_scan(out / "merged.bundle").model_names == scan.model_names
repr(scan), scan._repr_html_(), scan.where("depth == 0")

heavy = {}
for name, answer in answers.items():
    file = io.StringIO()
    Console(file=file, width=80).print(text(answer, **json.loads(sys.argv[3]).get(name, {})))
    assert file.getvalue().strip(), name
    answer.record(), list(answer.rows())
    heavy[name] = sorted({"jax", "jaxlib", "equinox"} & sys.modules.keys())
print(json.dumps(heavy))
"""


def python(code: str, *arguments: object) -> dict:
    """What a new process prints as JSON, without what these tests have imported."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def names_of(stub: Path) -> set[str]:
    """The names that a stub lists for its package."""
    return {
        alias.asname
        for statement in ast.parse(stub.read_text("utf-8")).body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.asname
    }


@pytest.fixture(scope="module")
def face():
    return python(FACE, *sorted(names_of(STUB)))


@pytest.fixture(scope="module")
def loaded_after(tmp_path_factory):
    options = {"nearest": {"most": 3, "map": True}}
    return python(ANSWERS, GOLDEN, tmp_path_factory.mktemp("out"), json.dumps(options))


@pytest.mark.parametrize(
    "package", ["jax", "jaxlib", "equinox", "numpy", "scipy", "pyarrow", "pandas", "safetensors"]
)
def test_the_face_imports_nothing_that_computes(face, package):
    assert package not in face["loaded"]


def test_every_name_of_the_stub_is_on_the_face(face):
    names = names_of(STUB)
    assert {"scan", "open_scan", "compare", "Scan", "watch"} <= names
    assert names <= set(face["all"])
    assert names <= set(face["dir"])


def test_the_face_shows_35_names_at_most(face):
    assert face["dir"] == face["all"]
    assert len(face["dir"]) <= 35
    assert {"drift", "Reference"} <= set(face["dir"])


@pytest.mark.parametrize("room", jfilters.ROOMS)
def test_rooms_that_the_face_does_not_show_are_there(room):
    code = f"import json, jfilters; print(json.dumps([jfilters.{room}.__name__, dir(jfilters)]))"
    name, shown = python(code)
    assert name == f"jfilters.{room}"
    assert room not in shown


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        jfilters.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "question",
    ["drift", "axes", "quality", "trajectory", "check", "phenotypes", "nearest", "lineage"],
)
def test_an_answer_from_a_written_scan_imports_no_jax(loaded_after, question):
    assert loaded_after[question] == []
