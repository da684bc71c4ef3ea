"""A short run of the fuzzing in every CI; the long one's figures are in results/fuzz/."""

import json
import os
import random
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from benchmarks import _fuzzed, _guided, _mutations, fuzz
from jfilters import CheckpointError
from jfilters.converters import FORMATS

LARGEST_PEAK = 512
"""Megabytes that a process may take, whatever it opens."""

INPUTS = 150

# One process for all readers, without atheris: most of the time goes into starting.
ALL_READERS = """
import sys
from benchmarks import _guided, fuzz
_guided.GUIDED = False
for reader in fuzz.READERS:
    seeds = f"{sys.argv[1]}/{reader}"
    _guided.main(seeds, f"{seeds}.outcomes", "0", f"1:{reader}")
"""


@pytest.mark.slow
def test_a_short_run_has_no_findings(tmp_path):
    places = {reader: tmp_path / f"{reader}.outcomes" for reader in fuzz.READERS}
    for place in places.values():
        np.memmap(place, _fuzzed.OUTCOME, "w+", shape=(INPUTS,))
    python = [sys.executable, "-W", "ignore"]
    for program in (["-m", "benchmarks._seeds"], ["-c", ALL_READERS]):
        command = [*python, *program, str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True, cwd=fuzz.ROOT, timeout=600)
    assert [path.read_text() for path in tmp_path.glob("*.json")] == []
    for reader, place in places.items():
        row = fuzz.figures(reader, np.memmap(place, _fuzzed.OUTCOME, "r"), "")
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
    before = signal.signal(signal.SIGPROF, _fuzzed.hang)
    yield
    signal.signal(signal.SIGPROF, before)


def raises(error):
    def read(path):
        raise error

    return read


def hangs(path):
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "status", "finding"),
    [
        (lambda path: None, _fuzzed.READ, ""),
        (raises(CheckpointError("damaged")), _fuzzed.REFUSED, ""),
        (raises(KeyError("tensor")), _fuzzed.FOUND, "KeyError: 'tensor'"),
        (hangs, _fuzzed.FOUND, "more than 0.05 s"),
    ],
)
def test_outcomes(monkeypatch, alarm, guard, tmp_path, read, status, finding):
    monkeypatch.setattr(_fuzzed, "read", read)
    found = _fuzzed.outcome(tmp_path, guard)
    assert found[0] == status
    assert finding in found[1]
    assert bool(finding) == bool(found[1])


@pytest.fixture
def seeds(tmp_path):
    folder = tmp_path / "numpy"
    (folder / "npy").mkdir(parents=True)
    np.save(folder / "npy" / "model.npy", np.zeros((2, 5, 3, 3), "float32"))
    return folder


@pytest.mark.slow
def test_a_crash_is_a_finding_and_the_run_goes_on(monkeypatch, tmp_path, seeds):
    dies = (
        "import itertools, os, sys, benchmarks._guided as guided\n"
        "with guided.instrumented(): import benchmarks._fuzzed as fuzzed\n"
        "read, calls = fuzzed.read, itertools.count()\n"
        "fuzzed.read = lambda path: os.abort() if next(calls) == 100 else read(path)\n"
        "guided.main(*sys.argv[1:])"
    )
    original = subprocess.Popen

    def popen(command, **options):
        return original([command[0], "-c", dies, *command[3:]], **options)

    monkeypatch.setattr(fuzz.subprocess, "Popen", popen)
    row = fuzz.row(seeds, 150, "0:numpy")
    assert (row.inputs, row.findings) == (150, 1)
    if _guided.GUIDED:
        assert row.branches > row.branches_of_seeds > 0
    (found,) = tmp_path.glob("*.json")
    record = json.loads(found.read_text())
    assert (record["reader"], record["file"]) == ("numpy", "npy/model.npy")
    assert "exit code" in record["what"]
    assert found.with_suffix(".bin").read_bytes() != (seeds / "npy" / "model.npy").read_bytes()


def test_the_figures_of_coverage_are_those_of_the_first_and_the_last_line():
    said = "#2 INITED cov: 10 ft: 11 corp: 1/9b lim: 8\n#7 NEW cov: 15 ft: 18 corp: 4/90b lim: 8\n"
    outcomes = np.array([(_fuzzed.READ, 0.1, 2048)], _fuzzed.OUTCOME)
    row = fuzz.figures("numpy", outcomes, said)
    assert (row.branches_of_seeds, row.branches, row.kept) == (10, 15, 4)


def test_what_is_not_damaged_is_no_input(run):
    for data in (b"", *run.healthy):
        run(data)
    assert run.number == 0
    run(run.healthy[0] + b"more")
    assert run.number == 1
    assert run.outcomes[0]["status"] == _fuzzed.REFUSED


def test_a_crash_leaves_its_damage_behind(run, seeds):
    with pytest.raises(LookupError, match="no file in"):
        _fuzzed.left_behind(seeds)
    run.parts[0].file.write_bytes(b"damage")
    assert _fuzzed.left_behind(seeds) == (run.parts[0].file, b"damage")


@pytest.fixture
def run(monkeypatch, seeds):
    # An audit hook stays until the end of the process.
    monkeypatch.setattr(_fuzzed.sys, "addaudithook", lambda hook: None)
    return _fuzzed.Run(seeds, np.zeros(4, _fuzzed.OUTCOME), 0)


def test_mutations_are_a_function_of_their_seed(run):
    again = [run.mutate(run.healthy[0], 1000, number % 20) for number in range(40)]
    assert again[:20] == again[20:]
    assert len(set(again)) > 15
    assert max(map(len, again)) <= 1000


def test_containers_are_put_together_again(tmp_path):
    rng, path = random.Random(0), tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("member", bytes(100))
    path.write_bytes(_mutations._repacked(path.read_bytes(), b"other", rng))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("member") != bytes(100)
    stored = (2).to_bytes(8, "little") + b"{}" + b"data"
    broken = _mutations.damaged(b"PK" + bytes(100), b"other", random.Random(1))
    assert broken != b"PK" + bytes(100)
    relabeled = _mutations._relabeled(stored, b"other", rng)
    size = int.from_bytes(relabeled[:8], "little")
    assert relabeled[8 + size :] == b"data"
