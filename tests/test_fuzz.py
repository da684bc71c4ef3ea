"""A short run of the fuzzing in every CI; the long one's figures are in results/fuzz/."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from benchmarks import _fuzzed, _mutations, fuzz
from jfilters import CheckpointError
from jfilters.converters import FORMATS

LARGEST_PEAK = 512
"""Megabytes that a process may take, whatever it opens."""


INPUTS = 150

# One process for all readers, which the long run does not share: most of the time goes into starting.
ALL_READERS = """
import sys
from benchmarks import _fuzzed, fuzz
root, key, until = sys.argv[1:]
for reader in fuzz.READERS:
    _fuzzed.main(f"{root}/{reader}", f"{root}/{reader}.outcomes", "0", f"{key}:{reader}", until)
"""


def test_a_short_run_has_no_findings(tmp_path):
    places = {reader: tmp_path / f"{reader}.outcomes" for reader in fuzz.READERS}
    for place in places.values():
        np.memmap(place, _fuzzed.OUTCOME, "w+", shape=(INPUTS,))
    python = [sys.executable, "-W", "ignore"]
    for program in (["-m", "benchmarks._seeds"], ["-c", ALL_READERS]):
        more = [] if program[0] == "-m" else ["1", str(time.time() + 300)]
        command = [*python, *program, str(tmp_path), *more]
        subprocess.run(command, check=True, capture_output=True, cwd=fuzz.ROOT, timeout=600)
    assert [path.read_text() for path in tmp_path.glob("*.json")] == []
    for reader, place in places.items():
        row = fuzz._figures(reader, np.memmap(place, _fuzzed.OUTCOME, "r"))
        assert row.inputs == row.refused + row.read == INPUTS
        assert min(row.refused, row.read) > 0
        assert row.peak_mb < LARGEST_PEAK


def test_every_reader_is_fuzzed():
    assert sorted(fuzz.READERS) == sorted(FORMATS)


@pytest.fixture
def guard(tmp_path):
    return _fuzzed.Guard(os.path.realpath(tmp_path), armed=True)


def test_the_guard_notes_what_no_reader_may_do(guard, tmp_path):
    guard("open", (str(tmp_path.parent / "other"), "r", os.O_RDONLY))
    guard("open", (str(tmp_path / ".." / "other"), "r", os.O_RDONLY))
    guard("open", (str(tmp_path / "model"), "w", os.O_WRONLY))
    guard("os.listdir", (str(tmp_path.parent),))
    guard("import", ("a_module_of_the_file", None))
    guard("exec", (compile("1", "<string>", "eval"),))
    guard("os.system", (b"true",))
    guard("pickle.find_class", ("os", "system"))
    assert len(guard.noted) == 8


def test_the_guard_lets_reading_pass(guard, tmp_path):
    guard("open", (str(tmp_path / "model"), "r", os.O_RDONLY))
    guard("open", (np.__file__, "r", os.O_RDONLY))
    guard("os.listdir", (str(tmp_path),))
    guard("import", ("difflib", None))
    guard.armed = False
    guard("os.system", (b"true",))
    assert guard.noted == []


@pytest.fixture
def alarm(monkeypatch):
    monkeypatch.setattr(_fuzzed, "LIMIT", 0.05)
    before = signal.signal(signal.SIGALRM, _fuzzed._hang)
    yield
    signal.signal(signal.SIGALRM, before)


def raises(error):
    def read(path):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "status", "finding"),
    [
        (lambda path: None, _fuzzed.READ, ""),
        (raises(CheckpointError("damaged")), _fuzzed.REFUSED, ""),
        (raises(KeyError("tensor")), _fuzzed.FOUND, "KeyError: 'tensor'"),
        (lambda path: time.sleep(5), _fuzzed.FOUND, "more than 0.05 s"),
    ],
)
def test_outcomes(monkeypatch, alarm, guard, tmp_path, read, status, finding):
    monkeypatch.setattr(_fuzzed, "read", read)
    found = _fuzzed.outcome(tmp_path, guard)
    assert found[0] == status
    assert finding in found[1]
    assert bool(finding) == bool(found[1])


def test_a_crash_is_a_finding_and_the_run_goes_on(monkeypatch, tmp_path):
    dies = (
        "import itertools, os, sys, benchmarks._fuzzed as fuzzed\n"
        "read, calls = fuzzed.read, itertools.count()\n"
        "fuzzed.read = lambda path: os.abort() if next(calls) == 5 else read(path)\n"
        "fuzzed.main(*sys.argv[1:])"
    )
    original = subprocess.Popen

    def popen(command, **options):
        return original([command[0], "-c", dies, *command[3:]], **options)

    seeds = tmp_path / "numpy"
    (seeds / "npy").mkdir(parents=True)
    np.save(seeds / "npy" / "model.npy", np.zeros((2, 5, 3, 3), "float32"))
    monkeypatch.setattr(fuzz.subprocess, "Popen", popen)
    row = fuzz._row(seeds, 8, time.time() + 60, "0:numpy")
    assert (row.inputs, row.findings) == (8, 1)
    record = json.loads((tmp_path / "numpy-4.json").read_text())
    assert record["reader"] == "numpy"
    assert "exit code -6" in record["what"]
    assert (tmp_path / "numpy-4.bin").exists()


def test_inputs_are_a_function_of_their_number(tmp_path):
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "model").write_bytes(bytes(range(256)))
    contents = [damage.content for damage, _ in _fuzzed.inputs(tmp_path, "0", 0, 20)]
    later = [damage.content for damage, _ in _fuzzed.inputs(tmp_path, "0", 15, 20)]
    assert contents[15:] == later
    assert len(set(contents)) == 20


def test_containers_are_put_together_again(tmp_path):
    rng, path = random.Random(0), tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("member", bytes(100))
    path.write_bytes(_mutations._repacked(path.read_bytes(), b"other", rng))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("member") != bytes(100)
    stored = (2).to_bytes(8, "little") + b"{}" + b"data"
    relabeled = _mutations._relabeled(stored, b"other", rng)
    size = int.from_bytes(relabeled[:8], "little")
    assert relabeled[8 + size :] == b"data"
