"""A scan's files appear whole or not at all, also on a disk that is full."""

import errno
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import scan, write_scan


@pytest.fixture
def found(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    save_file({"c.weight": weight}, folder / "a.safetensors", metadata={"format": "pt"})
    return scan(folder)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(found, tmp_path, monkeypatch, call):
    write_scan(found, out := tmp_path / "out")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            write_scan(found, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_record_is_written_last(found, tmp_path, monkeypatch):
    written = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (written.append(b.name), replace(a, b)))
    write_scan(found, tmp_path / "out")
    assert written[-1] == "scan.json"
    assert len(written) == 5
