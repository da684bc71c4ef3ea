"""Several paths are scanned as one folder: that which holds them all."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters as jf


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("first", "second/inner"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("a", "b"):
            weights = rng.normal(size=(8, 4, 3, 3)).astype(np.float32)
            save_file({"conv.weight": weights}, tmp_path / folder / f"{name}.safetensors")
    return tmp_path


def names(paths):
    return jf.scan(paths, progress=False).model_names


def test_files_and_folders_have_names_below_what_holds_them(folders):
    paths = [folders / "first/b.safetensors", str(folders / "second")]
    assert names(paths) == [
        "first/b.safetensors",
        "second/inner/a.safetensors",
        "second/inner/b.safetensors",
    ]


def test_relative_paths_are_named_alike(folders, monkeypatch):
    monkeypatch.chdir(folders / "second")
    assert names(["inner/a.safetensors", "../first/a.safetensors"]) == [
        "second/inner/a.safetensors",
        "first/a.safetensors",
    ]


def test_a_checkpoint_counts_once(folders):
    file = folders / "first/a.safetensors"
    expected = ["first/a.safetensors", "first/b.safetensors"]
    assert names([file, file, folders / "first"]) == expected


def test_one_path_in_a_list_is_that_path(folders):
    assert names([folders / "first"]) == names(folders / "first") == names(str(folders / "first"))


def test_no_path_is_an_error():
    with pytest.raises(ValueError, match="expected the path of a folder"):
        jf.scan([], progress=False)


def test_a_missing_one_is_an_error(folders):
    with pytest.raises(jf.CheckpointError, match="no such file or folder"):
        names([folders / "first", Path("missing")])
