"""`--format table|json|csv` of every command that answers, on one small scan with all that they need."""

import csv
import itertools
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.density import Divergences, Fits, TwoSampleTests
from jfilters.density._density import like
from jfilters.questions import _densities as of_scans

from ..scans.scans import made_scan, replaced, save_folder
from .commands import run

RULES = """
[[rule]]
name = "big"
require = "n_kernels > 9"
[[rule]]
name = "=dead"
require = "sparsity < 0.04"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan of two steps of a run with a sample of their kernels, two checkpoints, and rules."""
    folder = tmp_path_factory.mktemp("answers")
    rng = np.random.default_rng(0)
    scan = made_scan(folder / "scan", {"run_1.pt": 3, "run_2.pt": 3})
    sample = rng.standard_normal((600, 9)).astype(np.float32)
    sample[300:] += 2 * sample[300:].mean(axis=1, keepdims=True)
    layer = np.repeat(np.arange(6), 100)
    save_folder(replaced(scan, sample=sample, sample_layer=layer))
    (folder / "nets").mkdir()
    for name in ("a", "b"):
        weights = {
            "conv.weight": rng.standard_normal((8, 4, 3, 3)).astype(np.float32),
            "fc.weight": np.ones((2, 8), np.float32),
        }
        save_file(weights, folder / f"nets/{name}.safetensors", metadata={"format": "pt"})
    (folder / "rules.toml").write_text(RULES)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """The same as working directory, where densities are made up: to learn them takes a minute."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(of_scans, "seeded_fits", no_fits)
    monkeypatch.setattr(of_scans, "seeded_divergences", no_divergences)
    monkeypatch.setattr(of_scans, "seeded_tests", no_tests)


def no_fits(kernels, *, seed, options):
    m, n, d = kernels.shape
    arrays, rest = eqx.partition(like(d, options.layers, options.width), eqx.is_array)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * m), arrays)
    held_out = np.arange(n) % 2 == 0
    likely = jnp.linspace(1, 2, m * held_out.sum()).reshape(m, -1)
    return Fits(eqx.combine(stacked, rest), held_out, likely, jnp.arange(m))


def no_divergences(kernels, *, seed, options):
    square = np.arange(len(kernels) ** 2, dtype=np.float64).reshape(len(kernels), -1)
    return Divergences(square, square / 9, square + square.T, square / 7, square[0], square[1])


def no_tests(kernels, *, seed):
    pairs = np.array(list(itertools.combinations(range(len(kernels)), 2)))
    half = np.full(len(pairs), 0.5)
    return TwoSampleTests(pairs, half, half, half)


def itself(record):
    return record


def under(name):
    return lambda record: record[name]


def inner(name):
    """All lists of this name of a list of records, in one."""
    return lambda record: [row for part in record for row in part[name]]


def flat(record):
    return list(itertools.chain.from_iterable(record["nearest"].values()))


NETS = "nets/a.safetensors nets/b.safetensors"
ANSWERS = {
    "scan --checkpoints nets --out out": under("checkpoints"),
    "inspect nets/a.safetensors": under("layers"),
    "quality scan": under("layers"),
    "drift scan --by model --permutations 0": under("pairs"),
    "axes scan --permutations 0": under("axes"),
    f"compare {NETS}": itself,
    f"compare {NETS} --layers": inner("layers"),
    "nearest scan scan --where depth<1": flat,
    "trajectory scan": inner("points"),
    "phenotypes scan --by layer": under("groups"),
    "formats": itself,
    "zoo list": itself,
}
OF_DENSITIES = {
    "density fit scan --by model --kernels 250": itself,
    "density divergence scan --by model --kernels 250": under("pairs"),
}


def cell(value):
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def check_forms(take, *arguments):
    """All three forms are given, text within 80 columns, and lines of CSV hold what rows of JSON do."""
    table, as_json, as_csv = (
        run(*arguments, *form) for form in ([], ["--format", "json"], ["--format", "csv"])
    )
    for done in (table, as_json, as_csv):
        assert done.exit_code == 0, done.output
    assert max(map(len, table.stdout.splitlines())) <= 80
    lines = list(csv.DictReader(as_csv.stdout.splitlines()))
    rows = take(json.loads(as_json.stdout))
    assert len(lines) == len(rows) > 0
    for line, row in zip(lines, rows, strict=True):
        told = {name: cell(row[name]) for name in row.keys() & line.keys()}
        assert told
        assert {name: line[name] for name in told} == told


@pytest.mark.parametrize("command", ANSWERS)
def test_all_forms_say_the_same(here, command):
    check_forms(ANSWERS[command], *command.split())


@pytest.mark.slow
@pytest.mark.parametrize("command", OF_DENSITIES)
def test_all_forms_of_densities_say_the_same(here, command):
    check_forms(OF_DENSITIES[command], *command.split())


@pytest.mark.slow
def test_scores_under_a_density_in_all_forms(here):
    run("density", "fit", "scan", "--by", "model", "--kernels", 250, "-o", "made.density")
    under_it = ("--under", "made.density", "--label", "run_1.pt")
    check_forms(itself, "density", "score", "nets/a.safetensors", *under_it)


def test_rules_that_hold_are_one_line_and_others_one_for_what_broke_them(here):
    done = run("check", "scan", "--rules", "rules.toml", "--format", "csv")
    assert done.exit_code == 1
    lines = list(csv.DictReader(done.stdout.splitlines()))
    assert [(line["rule"], line["holds"], line["model"], line["layer"]) for line in lines] == [
        ("big", "true", "", ""),
        ("=dead", "false", "run_1.pt", "conv2.weight"),
        ("=dead", "false", "run_2.pt", "conv2.weight"),
    ]
    assert lines[1]["values.sparsity"] == "0.05"


def test_lines_of_a_part_tell_what_it_is_part_of(here):
    layers = run("compare", *NETS.split(), "--layers", "--format", "csv").stdout
    assert layers.startswith("pair.first,pair.second,pair.verdict,first,second,shape,")
    near = run("nearest", "scan", "scan", "--format", "csv").stdout.splitlines()
    assert near[0] == "query,model,drift,null_mean,kin"
    assert [line.split(",")[:2] for line in near[1::2]] == [["run_1.pt"] * 2, ["run_2.pt"] * 2]
    steps = run("trajectory", "scan", "--format", "csv").stdout.splitlines()
    assert steps[1].startswith("run_*.pt,")


def test_folded_layers_take_the_place_of_those_as_stored(here):
    run("scan", "--checkpoints", "nets", "--out", "out")
    done = run("quality", "out", "--fold-batchnorm", "--format", "csv")
    assert done.stdout.startswith("model,layer,spatial,n_kernels,norm,untied,sparsity,")
    assert len(done.stdout.splitlines()) == 3


def test_an_unknown_form_is_wrong_usage():
    done = run("formats", "--format", "xml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "one of table, json, csv; got 'xml'" in done.stderr
