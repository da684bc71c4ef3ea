"""Every example of the documentation runs, and every command line in it is one that jfilters knows."""

import re
import shlex
import shutil
import sys
import textwrap
import types
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest
import typer.main
from jfilters_cli._app import app
from safetensors.numpy import save_file

from jfilters.engine import scan_into
from jfilters.scans import read_metadata

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in these languages, those in tabs too."""
    fence = rf"^( *)```(?:{'|'.join(languages)})\b[^\n]*\n(.*?)^\1```"
    return [textwrap.dedent(body) for _, body in re.findall(fence, text, re.M | re.S)]


EXAMPLES = {name: blocks(text, "python") for name, text in PAGES.items()}


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder with stand-ins for the zoo, known by their content, and a scan of them."""
    folder = tmp_path_factory.mktemp("docs")
    named = {name for text in PAGES.values() for name in re.findall(r'"zoo/([\w.]+)"', text)}
    files = sorted(
        {"chesscv_arrows.safetensors", "chesscv_snap.safetensors", *named} - {"metadata.csv"}
    )
    (folder / "zoo").mkdir()
    for seed, name in enumerate(files):
        save_file(network(seed), folder / "zoo" / name, metadata={"format": "pt"})
    tasks = [f"{name},{('classification', 'segmentation')[i % 2]}" for i, name in enumerate(files)]
    (folder / "zoo/metadata.csv").write_text("\n".join(["model,task", *tasks]))
    metadata = read_metadata(folder / "zoo/metadata.csv")
    scan_into(folder / "results/zoo", folder / "zoo", metadata=metadata)
    return folder


def network(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"conv1.weight": (16, 8, 3, 3), "conv2.weight": (32, 16, 3, 3)}
    smooth = np.linspace(1, 0.2 + 0.1 * seed, 9, dtype=np.float32).reshape(3, 3)
    return {name: smooth * rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


class Writer:
    """Stands in for the writer of TensorBoard and for Weights & Biases."""

    def __init__(self, *_, **__):
        self.seen = []

    def add_scalar(self, name, value, step):
        self.seen.append((name, float(value), int(step)))

    def init(self, **_):
        pass

    def log(self, values, *, step):
        self.seen += [(name, float(value), step) for name, value in values.items()]


@pytest.fixture
def loggers(monkeypatch):
    """What the loggers that are not installed were told."""
    writer = Writer()
    tensorboard = types.SimpleNamespace(SummaryWriter=lambda *_, **__: writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", tensorboard)
    monkeypatch.setitem(sys.modules, "wandb", writer)
    return writer


def run(examples: list[str], page: str) -> dict:
    """The namespace that the examples of a page leave, run in order as a reader would."""
    namespace: dict = {"__name__": page}
    matplotlib.use("Agg")
    # A reader has JAX's own settings, not the strict ones of the tests.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for example in examples:
            exec(compile(example, f"{page}.md", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", [page for page, examples in EXAMPLES.items() if examples])
def test_the_examples_of_a_page_run(page, workplace, tmp_path, monkeypatch, loggers):
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    run(EXAMPLES[page], page)


def test_both_loggers_are_told_numbers_with_their_step(tmp_path, monkeypatch, loggers):
    monkeypatch.chdir(tmp_path)
    told = [example for example in EXAMPLES["training"] if re.search("tensorboard|wandb", example)]
    run([SETUP, *told], "training")
    names = [name for name, *_ in loggers.seen]
    assert len(told) == 2
    assert names.count("jfilters/drift") == 2
    assert {step for *_, step in loggers.seen} == {0}


SETUP = """
import numpy as np
from jfilters.training import watch
network = {"conv": {"kernel": np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype("f")}}
"""


def command_lines(text: str) -> list[str]:
    """The calls of jfilters in a page, whatever comes before them in the line."""
    lines = "\n".join(blocks(text, "console", "bash", "yaml")).splitlines()
    found = (re.search(r"(?:^|[\s/])jfilters ((?!&&)[a-z-].*)$", line) for line in lines)
    return [re.split(r"; | \d>", call[1])[0] for call in found if call]


def parse(line: str) -> list[str]:
    """What no parameter takes of a command line; raises what the command would of options."""
    arguments = shlex.split(line.removesuffix("'"), comments=True)
    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="jfilters")
    while hasattr(command, "commands") and arguments[0] != "--help":
        _, command, arguments = command.resolve_command(context, arguments)
        context = command.context_class(command, parent=context)
    _, rest, _ = command.make_parser(context).parse_args(arguments)
    return rest


CALLS = sorted({(page, line) for page, text in PAGES.items() for line in command_lines(text)})


@pytest.mark.parametrize(("page", "line"), CALLS)
def test_the_command_line_is_understood(page, line):
    assert parse(line) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("scan --nonsense", "No such option"),
        ("nonsense x", "No such command"),
        ("scan --out", "requires"),
    ],
)
def test_a_wrong_command_line_is_not(line, message):
    with pytest.raises(Exception, match=message):
        parse(line)
    assert parse("formats more") == ["more"]


def test_there_are_examples_of_both_kinds():
    assert sum(map(len, EXAMPLES.values())) >= 8
    assert len(CALLS) >= 30
