"""Checkpoints of a description and bare weights: either is given, here or at a URL, the other found."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from jfilters import CheckpointError
from jfilters.converters import detect, location, open_checkpoint
from jfilters.converters._pairs import Pair
from jfilters.converters.internal import part_names
from jfilters.engine import scan

upath = pytest.importorskip("upath")

DEPLOYED = Path(__file__).parent / "deployed"
PAIRS = {"two.ncnn.param": "two.ncnn.bin", "two-half.xml": "two-half.bin"}


@pytest.fixture
def memory():
    """An empty folder in fsspec's memory."""
    root = upath.UPath("memory://pairs")
    yield root
    root.fs.rm("/pairs", recursive=True)


@pytest.mark.parametrize(("description", "weights"), PAIRS.items())
def test_both_files_are_found_at_a_url(memory, description, weights):
    for name in (description, weights):
        (memory / name).write_bytes((DEPLOYED / name).read_bytes())
    here = open_checkpoint(DEPLOYED / description)
    for given, other in ((description, weights), (weights, description)):
        there = open_checkpoint(location(f"memory://pairs/{given}"))
        assert [str(file) for file in there.companions] == [f"memory://pairs/{other}"]
        for first, second in zip(here.layers, there.layers, strict=True):
            np.testing.assert_array_equal(first.read(), second.read())


@pytest.mark.parametrize(("description", "weights"), PAIRS.items())
def test_a_change_of_either_file_is_a_change_of_the_model(tmp_path, description, weights):
    for name in (description, weights):
        shutil.copy(DEPLOYED / name, tmp_path)
    (before,) = scan(tmp_path).record["checkpoints"]
    text = (tmp_path / description).read_bytes()
    for name, content in ((weights, b"\0" * 4), (description, text + b"\n")):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content if name == description else data[:-4] + content)
        (after,) = scan(tmp_path).record["checkpoints"]
        assert (after["model"], after["status"]) == (description, "ok")
        assert after["sha256"] != before["sha256"]
        before = after


def test_weights_that_are_a_checkpoint_themselves_need_no_description(tmp_path):
    np.save(tmp_path / "net.npy", np.ones((8, 4, 3, 3)))
    (tmp_path / "net.npy").rename(tmp_path / "net.bin")
    assert detect(tmp_path / "net.bin").name == "numpy"


def test_an_unreadable_description_is_none(tmp_path):
    pair = Pair((".about",), ".raw", lambda head: head.startswith(b"about"))
    (tmp_path / "a.about").mkdir()
    (tmp_path / "a.raw").write_bytes(b"raw")
    assert not pair.recognizes(tmp_path / "a.raw", b"raw")
    (tmp_path / "b.about").write_bytes(b"about b")
    assert pair.recognizes(tmp_path / "b.about", b"about b")
    assert pair.parts(sorted(tmp_path.iterdir())) == set()
    with pytest.raises(CheckpointError, match=r"b\.raw is missing"):
        pair.files(tmp_path / "b.about")


def test_a_folder_of_many_pairs_lists_each_once(memory):
    for name in ("a", "b"):
        for end in (".ncnn.param", ".ncnn.bin"):
            (memory / f"{name}{end}").write_bytes((DEPLOYED / f"one{end}").read_bytes())
    assert part_names(sorted(memory.iterdir(), key=str)) == {"a.ncnn.bin", "b.ncnn.bin"}
