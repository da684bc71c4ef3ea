"""Checkpoints compared by their paths: pair by pair or by family, with what cannot be read set aside."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.compare import Comparisons
from jfilters.errors import CheckpointError
from jfilters.questions._compared import MOST_PAIRWISE, compare_paths
from jfilters.questions.internal import ComparedFamilies


def save(path, *layers):
    arrays = {f"conv{i}.weight": np.ascontiguousarray(layer) for i, layer in enumerate(layers)}
    save_file(arrays, path, metadata={"format": "pt"})


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """Two families, a network alone, a table, a page of the web, and one that ends early."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    base, other, alone = (rng.standard_normal((16, 16, 3, 3)).astype(np.float32) for _ in range(3))
    folder = tmp_path / "nets"
    (folder / "below").mkdir(parents=True)
    save(folder / "base.safetensors", base)
    save(folder / "half.safetensors", base.astype(np.float16))
    save(folder / "below/other.safetensors", other)
    save(folder / "below/pruned.safetensors", np.where(abs(other) < 0.5, np.float32(0), other))
    save(folder / "alone.safetensors", alone)
    (folder / "metadata.csv").write_text("model,task\nbase.safetensors,x\n")
    whole = (folder / "base.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:2000])
    return folder


def test_a_folder_is_compared_by_family(nets):
    compared = compare_paths([str(nets)])
    answer = compared.answer
    assert isinstance(answer, ComparedFamilies)
    assert [family.models for family in answer.families] == [
        ("base.safetensors", "half.safetensors"),
        ("below/other.safetensors", "below/pruned.safetensors"),
    ]
    assert answer.strangers == ("alone.safetensors",)
    labels = [pair.relation.label for family in answer.families for pair in family.pairs]
    assert labels == ["re-saved", "pruned"]
    assert list(compared.unread) == ["cut.safetensors"]
    assert "cut short" in compared.unread["cut.safetensors"]
    assert [name.rpartition("/")[2] for name in compared.ignored] == ["metadata.csv"]


def test_rows_have_the_number_of_their_family(nets):
    rows = list(compare_paths([str(nets)]).answer.rows())
    assert [(row["family"], row["verdict"]) for row in rows] == [(1, "re-saved"), (2, "pruned")]
    layers = list(compare_paths([str(nets)]).answer.by_layer().rows())
    assert [layer["first"] for layer in layers] == ["conv0.weight", "conv0.weight"]


def test_files_are_compared_pair_by_pair_without_what_is_no_checkpoint(nets):
    names = ["metadata.csv", "base.safetensors", "cut.safetensors", "half.safetensors"]
    compared = compare_paths([str(nets / name) for name in names])
    assert isinstance(compared.answer, Comparisons)
    assert [pair.relation.label for pair in compared.answer] == ["re-saved"]
    assert [name.rpartition("/")[2] for name in compared.unread] == ["cut.safetensors"]
    assert len(compared.ignored) == 1


def test_many_files_are_compared_by_family(nets):
    for i in range(MOST_PAIRWISE):
        rng = np.random.default_rng(i + 10)
        save(nets / f"more{i}.safetensors", rng.standard_normal((16, 16, 3, 3)).astype(np.float32))
    files = [str(path) for path in nets.iterdir() if path.is_file()]
    answer = compare_paths(files).answer
    assert isinstance(answer, ComparedFamilies)
    assert [family.models for family in answer.families] == [
        ("base.safetensors", "half.safetensors")
    ]


def test_too_few_are_refused_for_what_is_wrong_with_one(nets):
    base = str(nets / "base.safetensors")
    with pytest.raises(CheckpointError, match=r"cut\.safetensors.*cut short"):
        compare_paths([base, str(nets / "cut.safetensors")])
    with pytest.raises(CheckpointError, match=r"metadata\.csv"):
        compare_paths([base, str(nets / "metadata.csv")])
    with pytest.raises(ValueError, match="or a folder of them; got one file"):
        compare_paths([base])
    with pytest.raises(CheckpointError, match="no such file or folder"):
        compare_paths([base, str(nets / "half.safetensor")])


def test_an_empty_folder_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected checkpoints, found nothing"):
        compare_paths([str(tmp_path / "empty")])
