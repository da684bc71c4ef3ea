"""A scan goes on where an earlier one ended, whether that came to its end or was killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import Options, scan, scan_into
from jfilters.engine._digest import digest
from jfilters.scans.internal import CACHE

KILLS = int(os.environ.get("JFILTERS_KILLS", "4"))
SCAN = """
import sys
from pathlib import Path
from jfilters.engine import keep_compiled, scan_into
keep_compiled()
print("go", flush=True)
scan_into(Path(sys.argv[2]), sys.argv[1])
"""
FILES = ("arrays.safetensors", "drift-model.csv", "layers.parquet", "models.parquet", "scan.json")


def save(path, seed, *, layers=3, width=24):
    rng = np.random.default_rng(seed)
    weights = {
        f"conv{i}.weight": rng.standard_normal((width, width + i, 3, 3)).astype(np.float32)
        for i in range(layers)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.fixture
def folder(tmp_path):
    for seed in range(4):
        save(tmp_path / f"in/{seed}.safetensors", seed)
    (tmp_path / "in/broken.safetensors").write_bytes(b"1234567")
    return tmp_path / "in"


@pytest.fixture
def reads(monkeypatch):
    """The files that are opened to be read, by pass; the cache looks at some without that."""
    from jfilters.engine import _local

    opened, original = [], _local.opened

    def counting(entry, options):
        opened.append(entry.path.name)
        return original(entry, options)

    monkeypatch.setattr(_local, "opened", counting)
    return opened


def tables(out):
    return {name: (out / name).read_bytes() for name in FILES}


def test_what_was_scanned_is_not_read_again(folder, tmp_path, reads):
    out = tmp_path / "out"
    scan_into(out, folder)
    first = tables(out)
    assert sorted(reads) == sorted([*(f"{i}.safetensors" for i in range(4)), "broken.safetensors"])
    reads.clear()
    scan_into(out, folder)
    assert reads == ["broken.safetensors"]  # tried again: it may have been mended
    assert tables(out) == first


def test_a_new_model_is_all_that_is_read_with_a_basis(folder, tmp_path, reads):
    out = tmp_path / "out"
    basis = scan_into(out, folder).basis
    (folder / "broken.safetensors").unlink()
    scan_into(out, folder, basis=basis)
    save(folder / "new.safetensors", 9)
    reads.clear()
    found = scan_into(out, folder, basis=basis)
    assert reads == ["new.safetensors"]
    fresh = scan(folder, basis=basis)
    np.testing.assert_array_equal(found.histogram, fresh.histogram)


def test_a_new_model_moves_the_basis_and_so_all_histograms(folder, tmp_path):
    out = tmp_path / "out"
    scan_into(out, folder)
    save(folder / "new.safetensors", 9)
    scan_into(out, folder)
    scan_into(tmp_path / "fresh", folder)
    assert tables(out) == tables(tmp_path / "fresh")


def test_a_rewritten_model_is_read_and_a_touched_one_is_not(folder, tmp_path, reads):
    out = tmp_path / "out"
    scan_into(out, folder)
    save(folder / "1.safetensors", 77)
    os.utime(folder / "2.safetensors")
    reads.clear()
    scan_into(out, folder)
    first_pass = reads[: reads.index("broken.safetensors") + 1]
    assert first_pass == ["1.safetensors", "broken.safetensors"]
    scan_into(tmp_path / "fresh", folder)
    assert tables(out) == tables(tmp_path / "fresh")


def test_a_moved_folder_is_known_by_its_content(folder, tmp_path, reads):
    out, moved = tmp_path / "out", tmp_path / "moved"
    (folder / "broken.safetensors").unlink()
    scan_into(out, folder)
    shutil.copytree(folder, moved)
    reads.clear()
    found = scan_into(out, moved)
    assert reads == []
    assert found.record["checkpoints"][0]["sha256"] == digest(moved / "0.safetensors")


def test_other_options_are_other_readings(folder, tmp_path):
    out = tmp_path / "out"
    scan_into(out, folder)
    found = scan_into(out, folder, Options(sparse_eps=0.5))
    np.testing.assert_array_equal(
        found.layer_table["n_sparse"], scan(folder, Options(sparse_eps=0.5)).layer_table["n_sparse"]
    )


def test_a_checkpoint_that_has_become_too_large_is_refused_though_known(folder, tmp_path):
    scan_into(tmp_path / "out", folder)
    found = scan_into(tmp_path / "out", folder, Options(max_bytes=100))
    assert {entry["status"] for entry in found.record["checkpoints"]} == {"refused"}


def test_damaged_readings_are_read_again(folder, tmp_path):
    out = tmp_path / "out"
    scan_into(out, folder)
    first = tables(out)
    kept = [path for path in (out / CACHE).rglob("*") if path.is_file()]
    assert len(kept) == 8
    for i, path in enumerate(kept):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data if i % 2 else data[: len(data) // 3])
    scan_into(out, folder)
    assert tables(out) == first


@pytest.mark.parametrize("where", ["lock", "cache"])
def test_a_folder_that_cannot_be_written_is_an_error_or_no_matter(folder, tmp_path, where):
    out = tmp_path / "out"
    out.mkdir()
    if where == "lock":
        (out / ".lock").mkdir()
        with pytest.raises(OSError, match=r"out/\.lock"):
            scan_into(out, folder)
    else:
        (out / CACHE).write_text("in the way")
        scan_into(out, folder)
        assert set(tables(out)) == set(FILES)


def test_two_scans_into_one_folder_are_one_too_many(folder, tmp_path):
    out, errors = tmp_path / "out", []

    def again(stage, done, total):
        if not errors:
            with pytest.raises(
                BlockingIOError, match=f"process {os.getpid()}.*another folder"
            ) as e:
                scan_into(out, folder)
            errors.append(e)

    scan_into(out, folder, progress=again)
    assert len(errors) == 1
    scan_into(out, folder)  # the lock went with its holder


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path):
    folder, environment = tmp_path / "in", os.environ | {"XDG_CACHE_HOME": str(tmp_path / "xla")}
    for seed in range(12):
        save(folder / f"{seed}.safetensors", seed, layers=6, width=64)

    def start(out):
        command = [sys.executable, "-c", SCAN, str(folder), str(out)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert process.stdout.readline() == "go\n"
        return process, time.monotonic()

    def ended(process):
        process.communicate()
        return process.returncode

    process, begun = start(tmp_path / "cold")
    assert ended(process) == 0
    process, begun = start(tmp_path / "whole")
    assert ended(process) == 0
    took, rng = time.monotonic() - begun, random.Random(0)
    for kill in range(KILLS):
        out = tmp_path / f"killed{kill}"
        for _ in range(2):  # the second is killed after it went on
            process, begun = start(out)
            time.sleep(rng.uniform(0, took))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process, _ = start(out)
        assert ended(process) == 0
        assert tables(out) == tables(tmp_path / "whole"), kill
