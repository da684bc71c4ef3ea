"""The house stands as DESIGN draws it: imports go down only, and the optional stays optional.

Everything is read from the syntax tree, so that an import inside a function counts like any other.
"""

import ast
import graphlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("jfilters/**/*.py"), *ROOT.glob("cli/jfilters_cli/**/*.py")])

# From the bottom to the top; a layer sees those below it. Rooms on one line do not know each other.
LAYERS = (
    ("errors", "_configs", "_files", "_html", "_memory"),
    ("kernels",),
    ("converters",),
    ("statistics",),
    ("shift", "density"),
    ("engine", "training"),
    ("analysis",),
    ("report",),
    ("zoo",),
    ("face",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

OPTIONAL = {
    *("torch", "onnx", "h5py", "orbax", "flax", "ray", "matplotlib", "ott"),
    *("tensorstore", "fsspec", "upath", "s3fs", "gcsfs", "huggingface_hub"),
    *("flowjax", "pandas", "altair", "vl_convert"),
}
RUNS_CODE = {"torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load"}
MAY_USE_OPTIONAL = (
    *("jfilters.converters", "jfilters.engine._cluster", "jfilters.report"),
    *("jfilters.shift._sinkhorn", "jfilters.density", "jfilters.analysis._frames"),
)


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "cli" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}
TREES = {name: ast.parse(file.read_text("utf-8")) for name, file in MODULES.items()}


def imports(nodes: Iterable[ast.AST], package: str) -> Iterator[str]:
    """Every module or name that `nodes` import, as an absolute dotted name."""
    folders = package.split(".")
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folders[: len(folders) - node.level + 1] if node.level else []
            source = [*base, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*source, alias.name]) for alias in node.names)


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below `node` but the bodies of functions and what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from run_on_import(child)


def package_of(module: str) -> str:
    is_face = MODULES[module].name == "__init__.py"
    return module if is_face else module.rpartition(".")[0]


def imports_of(module: str) -> set[str]:
    return set(imports(ast.walk(TREES[module]), package_of(module)))


def owner(name: str) -> str:
    """The module that an imported name comes from: itself, or the module that defines it."""
    return name if name in MODULES else name.rpartition(".")[0]


def room(module: str) -> str:
    """The room of DESIGN.md that a module lies in."""
    top, _, inner = module.partition(".")
    return "cli" if top == "jfilters_cli" else inner.partition(".")[0] or "face"


def may_import(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    # Statistics sees arrays only: no path, no layer name.
    if importer == "statistics":
        return imported in ("errors", "_files")
    return RANK[imported] < RANK[importer]


def names(tree: ast.AST) -> set[str]:
    """Every identifier and attribute in the code, comments and docstrings left out."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.update(node.name.split("."))
    return found


def top_packages(modules: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def public_definitions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


every_module = pytest.mark.parametrize("module", MODULES)


def test_lazy_and_relative_imports_are_seen():
    lazy = "def f():\n    from ..engine import run\n    import torch.nn\n    from . import x"
    found = set(imports(ast.walk(ast.parse(lazy)), "jfilters.statistics"))
    assert found == {"jfilters.engine.run", "torch.nn", "jfilters.statistics.x"}
    eager = (
        "import a\nif TYPE_CHECKING:\n    import b\nclass C:\n    import d\ndef f():\n    import e"
    )
    assert set(imports(run_on_import(ast.parse(eager)), "jfilters")) == {"a", "d"}


def test_the_layers_refuse_what_they_should():
    assert may_import("engine", "statistics")
    assert not may_import("statistics", "engine")
    assert not may_import("statistics", "kernels")
    assert not may_import("shift", "density")
    assert not may_import("zoo", "cli")


@every_module
def test_imports_go_down_only(module):
    ours = {owner(name) for name in imports_of(module) if name.startswith("jfilters")}
    importer = room(module)
    assert importer in RANK, f"{module} has no layer: give it one in LAYERS and in DESIGN.md"
    upward = {name for name in ours if not may_import(importer, room(name))}
    assert not upward, f"{module} is {importer} and imports {upward}"


def test_no_import_cycle():
    graph = {
        module: {owner(name) for name in imports_of(module)} & MODULES.keys() - {module}
        for module in MODULES
    }
    order = graphlib.TopologicalSorter(graph)
    order.prepare()  # raises CycleError, which shows the cycle


@every_module
def test_optional_packages_are_imported_in_functions_of_few_rooms(module):
    used = top_packages(imports_of(module)) & OPTIONAL
    assert not used or module.startswith(MAY_USE_OPTIONAL), f"{module} imports {used}"
    eager = imports(run_on_import(TREES[module]), package_of(module))
    loaded = top_packages(eager) & OPTIONAL
    assert not loaded


def test_importing_jfilters_loads_nothing_optional():
    code = "import json, sys, jfilters; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = top_packages(json.loads(done.stdout))
    assert "jfilters" in loaded
    unwanted = loaded & OPTIONAL
    assert not unwanted


@every_module
def test_folders_hold_private_modules_behind_one_face(module):
    file = MODULES[module]
    assert file.parent == ROOT / "jfilters" or file.name.startswith("_")


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "converters"])
def test_converters_never_jit(module):
    assert not names(TREES[module]) & {"jit", "filter_jit", "pjit"}


@every_module
def test_public_jax_and_safe_loading_only(module):
    nodes = list(ast.walk(TREES[module]))
    spelled = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert "_src" not in names(TREES[module])
    assert not (spelled | imports_of(module)) & RUNS_CODE


@every_module
def test_nothing_is_left_unfinished(module):
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", MODULES[module].read_text("utf-8"))
    raised = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Raise)]
    assert not [error for error in raised if "NotImplemented" in ast.unparse(error)]


@every_module
def test_a_file_is_short_and_says_what_it_is_for(module):
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= 300
    assert ast.get_docstring(TREES[module])


@every_module
def test_everything_public_has_a_docstring(module):
    silent = [
        node.name for node in public_definitions(TREES[module]) if not ast.get_docstring(node)
    ]
    assert not silent, f"{module}: {silent}"
