"""The house stands as DESIGN draws it: imports go down only, and the optional stays optional.

Everything is read from the syntax tree, so that an import inside a function or for types alone counts like
any other. Faces load lazily: what a room shows is read from the stub beside its `__init__.py`.
"""

import ast
import functools
import graphlib
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("jfilters/**/*.py"), *ROOT.glob("cli/jfilters_cli/**/*.py")])
STUBS = sorted(ROOT.glob("jfilters/**/*.pyi"))

# From the bottom to the top; a layer sees those below it. Rooms on one line do not know each other.
LAYERS = (
    ("errors", "_configs", "_html", "_memory", "_traced"),
    ("layers", "answers"),
    ("kernels", "io"),
    ("_files",),
    ("_bounds",),
    ("converters",),
    ("statistics",),
    ("shift", "density", "lineage"),
    ("training", "scans"),
    ("engine", "compare"),
    ("questions",),
    ("zoo",),
    ("report",),
    ("face",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# These see arrays only: no path, no checkpoint, no layer name.
ARRAYS_ONLY = {
    "statistics": {"errors", "_bounds", "_files", "_traced"},
    "shift": {"errors", "_traced", "statistics"},
    "lineage": {"errors", "statistics"},
}
TOUCHES_FILES = {"pathlib", "os", "io", "shutil", "tempfile"}
# A basis is a file too, which is written and read beside its record.
MAY_TOUCH_FILES = {"jfilters.statistics._basis_file"}

COMPILER = {"jax", "jaxlib", "equinox", "optax", "flowjax"}
WITHOUT_COMPILER = ("io", "scans", "lineage", "compare", "questions", "report", "zoo", "answers")
# What statistics and shift have for arrays of NumPy; the other modules there are their device forms.
HOST_HALVES = {
    "statistics": {
        *(
            "_basis",
            "_basis_file",
            "_edges",
            "_entropy",
            "_epsilon",
            "_host",
            "_inputs",
            "_moments",
        ),
        *("_phenotype", "_randomness", "_verdict"),
    },
    "shift": {
        *("_difference", "_divergence", "_drift", "_drift_null", "_embedding", "_forms"),
        *("_frechet", "_grid", "_holm"),
        *("_kernel_similarity", "_labelings", "_match", "_metric_functions", "_null_level"),
        *("_nulls", "_parts", "_population_null", "_rank", "_redeal", "_samples", "_sampling_null"),
        *("_thinning", "_transport", "_unit_drift", "_unit_statistic", "_unit_sums", "metrics"),
    },
}

OPTIONAL = {
    *("torch", "onnx", "h5py", "orbax", "flax", "ray", "matplotlib", "ott"),
    *("tensorstore", "fsspec", "upath", "s3fs", "gcsfs", "huggingface_hub"),
    *("flowjax", "pandas", "vl_convert"),
}
RUNS_CODE = {"torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load"}
MAY_USE_OPTIONAL = (
    "jfilters.io",
    "jfilters._files",
    "jfilters.converters",
    "jfilters.engine._cluster",
    "jfilters.report",
)
USES_ONE = {
    "jfilters.shift._sinkhorn": {"ott"},
    "jfilters.density._density": {"flowjax"},
    "jfilters.scans._frames": {"pandas"},
    "jfilters.answers": {"pandas"},
    "jfilters._html": {"pandas"},
}
FACE_NAMES = 35
"""More than these a newcomer does not read."""
LAZY = """import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)"""


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


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def needed(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below `node` but what only type checkers see: that makes no cycle at run time."""
    for child in ast.iter_child_nodes(node):
        if not is_for_types(child):
            yield child
            yield from needed(child)


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below `node` but the bodies of functions and what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        if not is_for_types(child) and not is_function:
            yield child
            yield from run_on_import(child)


def package_of(module: str) -> str:
    is_face = MODULES[module].name == "__init__.py"
    return module if is_face else module.rpartition(".")[0]


@functools.cache
def imports_of(module: str) -> set[str]:
    return set(imports(ast.walk(TREES[module]), package_of(module)))


def needs_of(module: str) -> set[str]:
    return set(imports(needed(TREES[module]), package_of(module)))


def stub_of(file: Path) -> dict[str, str]:
    """The names that a stub shows, each with the dotted name of what it stands for."""
    module = module_name(file.with_suffix(".py"))
    package = module if file.name == "__init__.pyi" else module.rpartition(".")[0]
    tree = ast.parse(file.read_text("utf-8"))
    return {name.rpartition(".")[2]: name for name in imports(tree.body, package)}


SHOWN = {module_name(file.with_suffix(".py")): stub_of(file) for file in STUBS}


def owner(name: str) -> str:
    """The module that an imported name comes from: itself, or the module that defines it."""
    if name in MODULES:
        return name
    module, _, attribute = name.rpartition(".")
    source = SHOWN.get(module, {}).get(attribute)
    return owner(source) if source else module


def room(module: str) -> str:
    """The room of DESIGN.md that a module lies in."""
    top, _, inner = module.partition(".")
    name = inner.partition(".")[0]
    return "cli" if top == "jfilters_cli" else "face" if name in ("", "_methods") else name


def may_import(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    return imported in ARRAYS_ONLY.get(importer, RANK) and RANK[imported] < RANK[importer]


def is_shown(name: str) -> bool:
    """Tell if a name that another room takes is on the face of its room or in its `internal`."""
    module, _, attribute = (name, "", "") if name in MODULES else name.rpartition(".")
    if module in SHOWN:
        return not attribute or attribute in SHOWN[module]
    return module.count(".") == 1 or is_module_shown(module)


def is_module_shown(module: str) -> bool:
    package, _, name = module.rpartition(".")
    return name == "internal" or SHOWN.get(package, {}).get(name) == module


def is_on_host(module: str) -> bool:
    """Tell if a module belongs to the half of the house that answers without a compiler."""
    part = module.split(".")[2] if module.count(".") > 1 else ""
    return room(module) in WITHOUT_COMPILER or part in HOST_HALVES.get(room(module), ())


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


def for_each(modules: Iterable[str]) -> Callable[[Callable[[str], None]], Callable[[], None]]:
    """Run a test for each module, as one test that names all modules that fail.

    As four thousand tests they took three minutes of two cores, most of it in pytest.
    """

    def decorate(test: Callable[[str], None]) -> Callable[[], None]:
        def whole() -> None:
            failures = []
            for module in modules:
                try:
                    test(module)
                except AssertionError as error:
                    failures.append(f"{module}: {error}")
            assert not failures, "\n".join(failures)

        whole.__name__ = whole.__qualname__ = test.__name__
        return whole

    return decorate


every_module = for_each(MODULES)


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
    assert not may_import("shift", "converters")
    assert not may_import("converters", "statistics")
    assert not may_import("io", "converters")
    assert not may_import("engine", "compare")
    assert not may_import("compare", "engine")
    assert not may_import("scans", "engine")
    assert not may_import("zoo", "cli")


@every_module
def test_imports_go_down_only(module):
    ours = {owner(name) for name in imports_of(module) if name.startswith("jfilters")}
    importer = room(module)
    assert importer in RANK, f"{module} has no layer: give it one in LAYERS and in DESIGN.md"
    upward = {name for name in ours if not may_import(importer, room(name))}
    assert not upward, f"{module} is {importer} and imports {upward}"


def test_names_are_followed_through_a_lazy_face():
    assert owner("jfilters.statistics.fit_basis") == "jfilters.statistics._basis"
    assert owner("jfilters.scans.internal.totals") == "jfilters.scans._totals"
    assert owner("jfilters.scan") == "jfilters.engine._folder"
    assert is_shown("jfilters.scans.Scan")
    assert is_shown("jfilters.scans.schema.VERSION")
    assert not is_shown("jfilters.scans._scan.Scan")
    assert not is_shown("jfilters.scans.totals")


@every_module
def test_a_room_takes_from_another_what_that_shows(module):
    names = {name for name in imports_of(module) if name.startswith("jfilters.")}
    foreign = {name for name in names if room(owner(name)) != room(module)}
    hidden = {name for name in foreign if not is_shown(name)}
    assert not hidden


@for_each([name for name in MODULES if room(name) in ARRAYS_ONLY])
def test_rooms_of_arrays_know_no_path(module):
    used = top_packages(imports_of(module)) & TOUCHES_FILES
    assert not used or module in MAY_TOUCH_FILES


@for_each([name for name in MODULES if is_on_host(name)])
def test_an_answer_from_a_written_scan_needs_no_compiler(module):
    assert not top_packages(imports_of(module)) & COMPILER


def test_lists_of_modules_name_no_other():
    named = MAY_TOUCH_FILES | USES_ONE.keys()
    for half, parts in HOST_HALVES.items():
        named |= {f"jfilters.{half}.{part}" for part in parts}
    assert not named - MODULES.keys()


def test_importing_the_host_half_loads_no_compiler():
    modules = [name for name in MODULES if is_on_host(name)]
    code = "import importlib, json, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "print(json.dumps(sorted(sys.modules)))"
    environment = {name: value for name, value in os.environ.items() if name != "EAGER_IMPORT"}
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert not top_packages(json.loads(done.stdout)) & COMPILER


def test_no_import_cycle():
    graph = {
        module: {owner(name) for name in needs_of(module)} & MODULES.keys() - {module}
        for module in MODULES
    }
    order = graphlib.TopologicalSorter(graph)
    order.prepare()  # raises CycleError, which shows the cycle


@every_module
def test_optional_packages_are_imported_in_functions_of_few_rooms(module):
    used = top_packages(imports_of(module)) & OPTIONAL - USES_ONE.get(module, set())
    assert not used or module.startswith(MAY_USE_OPTIONAL), f"{module} imports {used}"
    eager = imports(run_on_import(TREES[module]), package_of(module))
    loaded = top_packages(eager) & OPTIONAL
    assert not loaded


def test_importing_jfilters_loads_nothing_optional():
    code = "import json, sys, jfilters; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = top_packages(json.loads(done.stdout))
    assert "jfilters" in loaded
    unwanted = loaded & (OPTIONAL | COMPILER)
    assert not unwanted


@every_module
def test_folders_hold_private_modules_behind_one_face(module):
    file = MODULES[module]
    # internal.py is for other rooms; another public module is shown on the face.
    assert file.parent == ROOT / "jfilters" or file.name.startswith("_") or is_module_shown(module)


@for_each([name for name in SHOWN if name != "jfilters"])
def test_a_face_holds_its_docstring_and_the_lazy_loader(module):
    tree = TREES[module]
    assert ast.get_docstring(tree)
    packages = ("__name__",)
    if module.endswith(".internal"):
        packages = ("__name__.removesuffix('.internal')", "__name__.rpartition('.')[0]")
    code = "\n\n".join(ast.unparse(node) for node in tree.body[1:])
    assert code in {LAZY.replace("__name__", package) for package in packages}


def test_every_room_has_a_lazy_face():
    rooms = {name for name in MODULES if name.count(".") == 1 and is_package(name)}
    assert not {name for name in rooms if name.startswith("jfilters.")} - SHOWN.keys()


def is_package(module: str) -> bool:
    return MODULES[module].name == "__init__.py"


@for_each(SHOWN)
def test_stub_and_runtime_agree(module):
    loaded = importlib.import_module(module)
    assert sorted(loaded.__all__) == sorted(SHOWN[module])
    for name, source in SHOWN[module].items():
        origin, _, attribute = source.rpartition(".")
        value = getattr(loaded, name)
        expected = importlib.import_module(origin)
        assert value is getattr(expected, attribute), f"{module}.{name} is not {source}"


@for_each(SHOWN)
def test_a_stub_only_imports(module):
    (file,) = (file for file in STUBS if module_name(file.with_suffix(".py")) == module)
    nodes = ast.parse(file.read_text("utf-8")).body
    assert all(isinstance(node, ast.ImportFrom) for node in nodes)
    names = [alias for node in nodes for alias in node.names]
    assert all(alias.asname == alias.name for alias in names)
    assert len({alias.name for alias in names}) == len(names)


def test_the_face_is_small_and_is_what_the_docs_list():
    shown = SHOWN["jfilters"]
    assert len(shown) <= FACE_NAMES
    spec = importlib.util.spec_from_file_location("_hooks", ROOT / "docs/_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    names = {name for name, source in shown.items() if source not in MODULES}
    assert set(hooks.names("jfilters")) == names


@for_each([name for name in MODULES if room(name) == "converters"])
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
