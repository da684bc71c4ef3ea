"""Fuzz every reader with damaged checkpoints: `python -m benchmarks.fuzz`.

Each input is a small valid checkpoint with a few mutations. It may be read or refused with a
`CheckpointError`; whatever else happens is a finding, kept beside the figures in results/fuzz/.
"""

import argparse
import dataclasses
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ._fuzzed import FOUND, LIMIT, OUTCOME, PENDING, READ, REFUSED, inputs, note

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "fuzz"
PACKAGES = ("numpy", "h5py", "jax", "msgpack", "pyarrow", "tensorstore", "torch", "onnx")

# HDF5 and tensorstore take milliseconds for a file: they share the time that the others leave.
READERS = ("numpy", "safetensors", "flax", "equinox", "onnx", "torch", "orbax", "filterdb", "keras")


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one reader; `start_mb` is the memory of the process after the first input."""

    reader: str
    inputs: int
    refused: int
    read: int
    findings: int
    p99_ms: float
    slowest_ms: float
    start_mb: int
    peak_mb: int


def fuzz(number: int, seconds: float, seed: int, found: Path) -> list[Row]:
    """Give each reader `number` inputs, as far as the seconds for all of them go.

    Findings are written to the folder `found`, each with its input.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        root = Path(folder)
        seeds = [sys.executable, "-W", "ignore", "-m", "benchmarks._seeds", folder]
        subprocess.run(seeds, check=True, capture_output=True, cwd=ROOT)
        rows, end = [], time.time() + seconds
        for index, reader in enumerate(READERS):
            share = (end - time.time()) / (len(READERS) - index)
            rows.append(_row(root / reader, number, time.time() + share, f"{seed}:{reader}"))
        for file in (*root.glob("*.json"), *root.glob("*.bin")):
            found.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, found)
    return rows


def _row(seeds: Path, number: int, until: float, key: str) -> Row:
    """One reader's inputs, in as many processes as it takes to survive its crashes."""
    place = seeds.with_suffix(".outcomes")
    outcomes = np.memmap(place, OUTCOME, "w+", shape=(number,))
    done = 0
    while done < number and (time.time() < until or done == 0):
        arguments = [str(seeds), str(place), str(done), key, str(until)]
        command = [sys.executable, "-m", "benchmarks._fuzzed", *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stderr=pipe, text=True, cwd=ROOT) as process:
            code, said = _finished(process, outcomes)
        done = int(np.count_nonzero(outcomes["status"]))
        if code:
            _note_crash(seeds, outcomes, done, key, f"exit code {code}: {said[-2000:]}")
            done += 1
    return _figures(seeds.name, outcomes[:done])


def _finished(process: subprocess.Popen, outcomes: np.ndarray) -> tuple[int, str]:
    """The exit code of a process; one that makes no progress inside a library is killed."""
    done = -1
    while True:
        try:
            _, said = process.communicate(timeout=3 * LIMIT)
            return process.returncode, said
        except subprocess.TimeoutExpired:
            before, done = done, int(np.count_nonzero(outcomes["status"]))
            if before == done:
                process.kill()


def _note_crash(seeds: Path, outcomes: np.ndarray, number: int, key: str, what: str) -> None:
    if number == 0:
        raise RuntimeError(f"{seeds.name}: the healthy checkpoints are not read: {what}")
    damage, _ = next(inputs(seeds, key, number, number + 1))
    note(seeds, number, damage, what)
    outcomes[number] = FOUND, 0, outcomes["peak"][:number].max()


def _figures(reader: str, outcomes: np.ndarray) -> Row:
    status, took = outcomes["status"], 1000 * outcomes["seconds"]
    assert PENDING not in status
    refused, read, found = (int(np.sum(status == kind)) for kind in (REFUSED, READ, FOUND))
    p99, slowest = (round(float(x), 1) for x in (np.percentile(took, 99), took.max()))
    first, peak = (int(outcomes["peak"][place]) // 1024 for place in (0, -1))
    return Row(reader, len(outcomes), refused, read, found, p99, slowest, first, peak)


def versions() -> dict[str, str]:
    """What was fuzzed, and with what beneath it."""
    packages = {name: version(name) for name in ("jfilters", *PACKAGES)}
    return {"python": platform.python_version(), "system": platform.system(), **packages}


def markdown(rows: list[Row], seed: int, number: int) -> str:
    """The rows as a table, and how to get them again."""
    titles = ["reader", "inputs", "refused", "read", "findings", "p99, ms", "slowest, ms"]
    lines = [[*titles, "peak memory, MB (of which at the start)"], ["---", *["---:"] * 7]]
    for row in rows:
        numbers = (row.inputs, row.refused, row.read, row.findings)
        memory = f"{row.peak_mb} ({row.start_mb})"
        cells = [row.reader, *(f"{x:,}" for x in numbers)]
        lines.append([*cells, f"{row.p99_ms}", f"{row.slowest_ms}", memory])
    table = "\n".join(" | ".join(line) for line in lines)
    described = ", ".join(f"{name} {value}" for name, value in versions().items())
    return _TEXT.format(table=table, seed=seed, number=number, limit=LIMIT, versions=described)


_TEXT = """# Fuzzing of the readers

{table}

An input is a small valid checkpoint with a few mutations: flipped bits, bytes and integers set to
extremes, lengths that are slightly wrong, blocks deleted, inserted, doubled, copied, pieces of other
checkpoints, truncation. Members of zip files and headers of safetensors are also damaged with their
checksum or length put right. It may be read or refused with a `CheckpointError`. Findings are any other
exception, a crash of the process, more than {limit:g} s, an array of another shape or type than promised,
and, by Python's audit events, a file opened or listed outside the checkpoint's folder, a file written, a
module imported, code or a process started, a connection. Files that tensorstore opens in C++ raise no
such events. The mutations are random; they are not guided by coverage.

`python -m benchmarks.fuzz --inputs {number} --seed {seed}` gives the same inputs again: each is a
function of the seed, the reader and its number. Where a reader has fewer inputs than asked for, its share
of the time was over; `--seconds` gives more. Orbax names some of its files at random: its findings, like
all, are kept with their bytes.

Versions: {versions}.
"""


def main() -> int:
    """Fuzz, print the table and write it to results/fuzz/; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--seconds", type=float, default=3600, help="for all readers together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = fuzz(options.inputs, options.seconds, options.seed, OUT / "findings")
    OUT.mkdir(parents=True, exist_ok=True)
    record = {"seed": options.seed, "asked": options.inputs, "versions": versions()}
    record["rows"] = [dataclasses.asdict(row) for row in rows]
    (OUT / "fuzz.json").write_text(json.dumps(record, indent=1) + "\n")
    text = markdown(rows, options.seed, options.inputs)
    (OUT / "README.md").write_text(text)
    print(text)
    return int(any(row.findings for row in rows))


if __name__ == "__main__":
    sys.exit(main())
