"""The sentences that a summary begins with, and the pairs that it calls furthest."""

import io

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from jfilters.engine import scan
from jfilters.report import Summary, _leads, summary_text
from jfilters.report._leads import _sentence, family_leads, look_leads, named
from jfilters.report._named_table import Column, NamedTable, cut_name
from jfilters.report._summary_drift import noise
from jfilters.scans.internal import model_drift


def shown(renderable, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def save(folder, name, layers):
    arrays = {f"conv{i}.weight": layer.astype(np.float32) for i, layer in enumerate(layers)}
    save_file(arrays, folder / f"{name}.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two families of two, one network alone with a dead layer, and one with few kernels."""
    folder, rng = tmp_path_factory.mktemp("nets"), np.random.default_rng(0)
    base, other, dead = ([rng.standard_normal((16, 16, 3, 3)) for _ in range(3)] for _ in range(3))
    save(folder, "base", base)
    save(folder, "half", [layer.astype(np.float16) for layer in base])
    save(folder, "other", other)
    save(folder, "pruned", [np.where(abs(layer) < 0.5, 0, layer) for layer in other])
    save(folder, "dead", [dead[0], np.zeros((16, 16, 3, 3)), dead[2]])
    save(folder, "tiny", [rng.standard_normal((4, 3, 3, 3)) ** 3])
    return scan(folder, progress=False)


def test_families_say_who_comes_from_whom(nets):
    lines = family_leads(nets)
    assert lines[0] == "2 families, 2 models without kin"
    assert "half.safetensors comes from base.safetensors (re-saved)" in lines
    assert "pruned.safetensors comes from other.safetensors (pruned)" in lines


@pytest.mark.parametrize(
    ("models", "relation", "directed", "sentence"),
    [
        (["birds"], "fine-tuned", True, "birds comes from base (fine-tuned)"),
        (["x", "y"], "pruned", True, "x and y come from base (pruned)"),
        (["x"], "unknown", True, "x comes from base"),
        (["x", "y"], "identical", False, "x, y and base are identical"),
        (["x"], "re-saved", False, "x comes from base, or the reverse (re-saved)"),
        (
            ["x", "y"],
            "fine-tuned",
            False,
            "x and y come from base, or the reverse, or all from one start (fine-tuned)",
        ),
    ],
)
def test_a_sentence_says_no_more_than_is_known(models, relation, directed, sentence):
    assert _sentence(models, "base", relation, directed=directed) == sentence


def test_without_weights_a_family_is_one_sentence(nets, monkeypatch):
    monkeypatch.setattr(_leads, "MOST_BYTES", 0)
    lines = family_leads(nets)
    assert "other.safetensors and pruned.safetensors are kin" in lines


def test_of_many_relations_the_first_are_said_and_the_others_counted(nets, monkeypatch):
    monkeypatch.setattr(_leads, "MOST_SENTENCES", 1)
    lines = family_leads(nets)
    assert len(lines) == 3
    assert lines[-1] == "and 1 more, which `jfilters lineage` shows"


def test_a_dead_layer_is_named(nets):
    assert "dead.safetensors has a dead layer: conv1.weight" in look_leads(nets)


def test_the_leads_come_before_the_tables(nets):
    text = shown(summary_text(Summary(nets)))
    assert text.index("2 families") < text.index("has a dead layer") < text.index("verdict")


def test_what_sampling_makes_is_never_the_furthest(nets):
    matrix, names = model_drift(nets), nets.model_names
    i, j = np.unravel_index(np.argmax(matrix), matrix.shape)
    assert "tiny.safetensors" in (names[i], names[j]), "the largest value is that of 36 kernels"
    assert noise(nets, matrix)(int(i), int(j))
    lines = shown(summary_text(Summary(nets)), 40).splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith(("furthest", "no pair")))
    assert "tiny" not in " ".join(lines[place : place + 2])


def test_where_all_is_noise_nothing_is_furthest(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abc":
        save(tmp_path, name, [rng.standard_normal((4, 4, 3, 3))])
    text = shown(summary_text(Summary(scan(tmp_path, progress=False))), 40)
    assert "furthest:" not in text
    assert "no pair is further apart than sampling" in " ".join(text.split())


def test_names_as_a_list_in_words():
    assert named(["a"]) == "a"
    assert named(["a", "b", "c"]) == "a, b and c"
    assert named(list("abcdef")) == "a, b, c, d and 2 more"


@pytest.mark.parametrize("width", range(4, 30))
def test_a_cut_name_has_the_width_and_both_ends(width):
    name = "first-middle-last-part.pth"
    short = cut_name(name, width)
    assert len(short) <= max(width, 3)
    assert short == name or "..." in short


@pytest.mark.parametrize("width", range(30, 90, 7))
def test_a_table_keeps_to_the_width_and_drops_optional_columns_alone(width):
    from rich.text import Text

    columns = [Column("n"), Column("format", "left", optional=True), Column("verdict", "left")]
    cells = [Text("1"), Text("safetensors"), Text("1 of 4 sparse, 1 too-few-kernels")]
    rows = [(f"net{'-x' * n}", cells) for n in range(0, 40, 5)]
    lines = shown(NamedTable("model", columns, rows), width).splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert text.count("too-few-kernels") == len(rows)
    assert ("safetensors" in text) == ("format" in lines[0])
