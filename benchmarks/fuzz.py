"""Fuzz every reader with damaged checkpoints: `python -m benchmarks.fuzz`.

Each input is a small valid checkpoint with mutations; libFuzzer, through atheris, keeps those that reach
new branches and damages them further. An input may be read or refused with a `CheckpointError`; whatever
else happens is a finding, kept beside the figures in results/fuzz/.
"""

import argparse
import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ._fuzzed import (
    FOUND,
    LIMIT,
    MEMORY,
    OUTCOME,
    PENDING,
    READ,
    REFUSED,
    STRUCTURED,
    left_behind,
    note,
)
from ._guided import GUIDED

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "fuzz"
PACKAGES = ("numpy", "h5py", "jax", "msgpack", "pyarrow", "tensorstore", "torch", "onnx")
PATIENCE = 60.0
"""Seconds without progress after which a process that is not stopped is killed."""

PATIENCE_AT_START = 900.0
"""The same before the first input, while jfilters is imported and instrumented."""

# The slowest last: HDF5 takes milliseconds for a file.
READERS = (
    *("numpy", "safetensors", "flax", "equinox", "ncnn", "caffe", "tflite", "tfjs", "tensorflow"),
    *("darknet", "openvino", "onnx", "torch", "torch-export", "torch-distributed", "deepspeed"),
    *("orbax", "keras", "filterdb"),
)

_COVERAGE = re.compile(r"cov: (\d+) .*corp: (\d+)/")


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one reader.

    `branches_of_seeds` are those of the healthy checkpoints, `branches` those of all inputs, both 0 without
    atheris; `start_mb` is the memory of the process at the first input, `peak_mb` at the worst.
    """

    reader: str
    inputs: int
    refused: int
    read: int
    findings: int
    branches_of_seeds: int
    branches: int
    kept: int
    p99_ms: float
    slowest_ms: float
    start_mb: int
    peak_mb: int


def fuzz(
    number: int,
    seed: int,
    found: Path,
    readers: Sequence[str] = READERS,
    *,
    work: Path | None = None,
) -> Iterator[Row]:
    """Give each reader `number` inputs; findings go to the folder `found`, each with its input.

    With a folder `work` a run that was stopped goes on where it was: seeds, outcomes and the inputs that
    libFuzzer keeps lie there. Readers that are through are read from their outcomes.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        root = Path(folder) if work is None else work
        write_seeds_once(root)
        for reader in readers:
            yield row(root / reader, number, f"{seed}:{reader}")
            for file in (*root.glob(f"{reader}-*.json"), *root.glob(f"{reader}-*.bin")):
                found.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, found)


def write_seeds_once(root: Path) -> None:
    """Write the healthy checkpoints of all readers, unless an earlier run left them."""
    done = root / "seeds-are-whole"
    if not done.exists():
        seeds = [sys.executable, "-W", "ignore", "-m", "benchmarks._seeds", str(root)]
        subprocess.run(seeds, check=True, capture_output=True, cwd=ROOT)
        done.touch()


def row(seeds: Path, number: int, key: str) -> Row:
    """One reader's inputs, in as many processes as it takes to survive its crashes."""
    place, talk = seeds.with_suffix(".outcomes"), seeds.with_suffix(".said")
    outcomes = opened(place, number)
    done = _progress(outcomes)
    said = talk.read_text() if done and talk.exists() else ""
    while done < number:
        command = [
            sys.executable,
            "-m",
            "benchmarks._guided",
            str(seeds),
            str(place),
            str(done),
            key,
        ]
        code, words = _finished(command, outcomes)
        said += words
        talk.write_text(said)
        done = _progress(outcomes)
        if code:
            _note_crash(seeds, outcomes, done, f"exit code {code}: {words[-10_000:]}")
            done += 1
    return figures(seeds.name, outcomes, said)


def opened(place: Path, number: int) -> np.ndarray:
    """The outcomes that an earlier run left, if it was to be of this many inputs, or new ones."""
    is_same = place.exists() and place.stat().st_size == number * OUTCOME.itemsize
    return np.memmap(place, OUTCOME, "r+" if is_same else "w+", shape=(number,))


def _finished(command: list[str], outcomes: np.ndarray) -> tuple[int, str]:
    """The exit code of a process and what it said; one that hangs inside a library is killed."""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    first = done = _progress(outcomes)
    waited = 0.0
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        while True:
            try:
                _, said = process.communicate(timeout=PATIENCE)
                return process.returncode, said
            except subprocess.TimeoutExpired:
                before, done = done, _progress(outcomes)
                waited = waited + PATIENCE if before == done else 0.0
                # Imports on a busy machine are no hang; before the first input nothing was damaged.
                if waited >= (PATIENCE_AT_START if done == first else PATIENCE):
                    process.kill()


def _progress(outcomes: np.ndarray) -> int:
    return int(np.count_nonzero(outcomes["status"]))


def _note_crash(seeds: Path, outcomes: np.ndarray, number: int, what: str) -> None:
    try:
        file, content = left_behind(seeds)
    except LookupError as error:
        raise RuntimeError(f"{seeds.name}: it failed without an input: {what}") from error
    note(seeds, number, file, content, what)
    outcomes[number] = FOUND, 0, outcomes["peak"].max()


def figures(reader: str, outcomes: np.ndarray, said: str) -> Row:
    """The figures of the outcomes, and of what libFuzzer said on the way."""
    status, took = outcomes["status"], 1000 * outcomes["seconds"]
    assert PENDING not in status
    refused, read, found = (int(np.sum(status == kind)) for kind in (REFUSED, READ, FOUND))
    p99, slowest = (round(float(x), 1) for x in (np.percentile(took, 99), took.max()))
    first, peak = (int(kib) // 1024 for kib in (outcomes["peak"][0], outcomes["peak"].max()))
    reached = [(int(branches), int(kept)) for branches, kept in _COVERAGE.findall(said)] or [(0, 0)]
    coverage = (reached[0][0], *reached[-1])
    return Row(reader, len(outcomes), refused, read, found, *coverage, p99, slowest, first, peak)


def versions() -> dict[str, str]:
    """What was fuzzed, and with what beneath it."""
    names = ("jfilters", *PACKAGES, *(["atheris"] if GUIDED else []))
    packages = {name: version(name) for name in names}
    return {"python": platform.python_version(), "system": platform.system(), **packages}


def markdown(rows: list[Row], seed: int, number: int) -> str:
    """The rows as a table, and how to get them again."""
    titles = ["reader", "inputs", "refused", "read", "findings", "branches, of the seeds"]
    titles += ["kept", "p99, ms", "slowest, ms", "peak memory, MB, at the start"]
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    for row in rows:
        numbers = (row.inputs, row.refused, row.read, row.findings)
        coverage = f"{row.branches:,}, {row.branches_of_seeds:,}"
        cells = [row.reader, *(f"{x:,}" for x in numbers), coverage, f"{row.kept:,}"]
        times = [f"{row.p99_ms}", f"{row.slowest_ms}"]
        lines.append([*cells, *times, f"{row.peak_mb}, {row.start_mb}"])
    table = "\n".join(" | ".join(line) for line in lines)
    described = ", ".join(f"{name} {value}" for name, value in versions().items())
    return _TEXT.format(
        table=table,
        seed=seed,
        number=number,
        limit=LIMIT,
        memory=MEMORY,
        structured=STRUCTURED,
        versions=described,
    )


_TEXT = """# Fuzzing of the readers

{table}

An input is a small valid checkpoint with mutations of one of its files, or of which files there are.
Half of the mutations ({structured:.0%}) know the container. They change an opcode of a pickle, a member or
a header of a zip file, a value of JSON, msgpack or an array's header, an attribute of XML, a field of a
protobuf message, an entry of a table, an offset of a flatbuffer, a message of an HDF5 object, or a line of
text. Then they put lengths and checksums right. The others are blind: flipped bits, bytes and integers set
to extremes, lengths that are slightly wrong, blocks deleted, inserted, doubled, copied, pieces of other
checkpoints, truncation. libFuzzer, through atheris, counts the branches of jfilters that an input takes,
keeps the inputs that reach new ones, and damages them further: "branches" are those that all inputs reached
and those that the healthy checkpoints reach, "kept" the inputs at the end. What runs in C and C++ (HDF5,
tensorstore) is not counted.

An input may be read or refused with a `CheckpointError`. Findings are any other exception, a crash of the
process, more than {limit:g} s of CPU time or {memory} MB more memory, a minute without progress, an array
of another shape or type than promised, and, by Python's audit events, a file opened or listed outside the
checkpoint's folder, a file written, a module imported, code or a process started, a connection. Files that
tensorstore opens in C++ raise no such events. Times are CPU time, in the ticks of the system, often 4 ms;
memory is the largest that the process had while it read one input.

`python -m benchmarks.fuzz --inputs {number} --seed {seed}` runs it again, `--only` for some readers; with
`--work DIR` a run that was stopped goes on where it was. The mutations are a function of the seed; what is
kept also depends on the versions, and for orbax on its random file names, so that a finding is kept with
its bytes rather than its number. Where atheris is not installed, the mutations start from the healthy
checkpoints alone.

Versions: {versions}.
"""


def write(rows: list[Row], seed: int, number: int, out: Path = OUT) -> str:
    """Write the figures into a folder; returns the table."""
    out.mkdir(parents=True, exist_ok=True)
    record = {"seed": seed, "asked": number, "guided": GUIDED, "versions": versions()}
    record["rows"] = [dataclasses.asdict(row) for row in rows]
    (out / "fuzz.json").write_text(json.dumps(record, indent=1) + "\n")
    text = markdown(rows, seed, number)
    (out / "README.md").write_text(text)
    return text


def main() -> int:
    """Fuzz, write the table after every reader, print it; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=READERS, default=READERS, help="these readers")
    parser.add_argument("--work", type=Path, help="a folder from which a stopped run goes on")
    parser.add_argument("--out", type=Path, default=OUT, help="results/fuzz unless told")
    options = parser.parse_args()
    out = options.out
    rows, text = earlier(options.only, out), ""
    run = fuzz(options.inputs, options.seed, out / "findings", options.only, work=options.work)
    for row in run:
        rows[row.reader] = row
        ordered = [rows[reader] for reader in READERS if reader in rows]
        text = write(ordered, options.seed, options.inputs, out)
    print(text)
    return int(any(rows[reader].findings for reader in options.only))


def earlier(readers: Sequence[str], out: Path = OUT) -> dict[str, Row]:
    """The rows in results/fuzz/ of the other readers."""
    place = out / "fuzz.json"
    rows = json.loads(place.read_text())["rows"] if place.exists() else []
    return {row["reader"]: Row(**row) for row in rows if row["reader"] not in readers}


if __name__ == "__main__":
    sys.exit(main())
