"""Does a scan that lost a process end in the same bytes? Jobs of several processes on one machine.

    python -m benchmarks.resume --trials 50

Each trial starts a job of two or four processes, ends one of them at a random time by SIGKILL or SIGTERM,
and runs the scan again with another number of processes. The tables are compared with those of an
undisturbed scan, byte for byte. resume.json and README.md go to results/resume/.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "resume"
PACKAGES = ("jax", "numpy")
FILES = ("arrays.safetensors", "drift-model.csv", "layers.parquet", "models.parquet", "scan.json")
LIMIT = 300.0
"""Seconds after which a process counts as one that hangs."""


def make_checkpoints(folder: Path, count: int = 12) -> None:
    """Write checkpoints of unequal sizes, and one that is broken."""
    folder.mkdir(parents=True)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        weights = {
            f"conv{i}.weight": rng.standard_normal((64 + 32 * seed, 64, 3, 3)).astype(np.float32)
            for i in range(4)
        }
        save_file(weights, folder / f"{seed}.safetensors", metadata={"format": "pt"})
    (folder / "broken.safetensors").write_bytes(b"1234567")


class Job:
    """A scan in several processes of this machine, which find each other by a free port."""

    def __init__(self, checkpoints: Path, outs: Sequence[Path], *options: str):
        port, count = _free_port(), len(outs)
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
        self.processes = []
        for index, out in enumerate(outs):
            command = [
                *(sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(checkpoints)),
                *("--out", str(out), *options),
                *("--coordinator", f"127.0.0.1:{port}", "--num-processes", str(count)),
                *("--process-id", str(index)),
            ]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            self.processes.append(subprocess.Popen(command, text=True, env=environment, **pipes))

    def end(self) -> list[tuple[int, str]]:
        """Wait for all processes; return the exit code and the stderr of each."""
        texts = [process.communicate(timeout=LIMIT)[1] for process in self.processes]
        return [(p.returncode, text) for p, text in zip(self.processes, texts, strict=True)]


def tables(folder: Path) -> dict[str, bytes]:
    """Return the files of a scan."""
    return {name: (folder / name).read_bytes() for name in FILES}


def seconds_of_a_scan(checkpoints: Path, out: Path, count: int) -> float:
    """Scan without a disturbance, and return the time."""
    start = time.perf_counter()
    endings = Job(checkpoints, [out] * count).end()
    if any(code != 1 for code, _ in endings):  # the broken checkpoint is a finding
        raise RuntimeError(f"a scan that nothing disturbed ended with {endings}")
    return time.perf_counter() - start


def trial(
    checkpoints: Path, folder: Path, expected: dict[str, bytes], longest: float, seed: int
) -> dict[str, Any]:
    """Disturb one job, resume it, and return what came of it."""
    chance = random.Random(seed)
    count, again, is_shared = chance.choice((2, 4)), chance.randint(1, 4), chance.random() < 0.5
    victim, delay = chance.randrange(count), chance.uniform(0.0, 0.4) * longest
    kind = chance.choice((signal.SIGKILL, signal.SIGTERM))
    # Each host has its own disk, or all have one; the first host writes the tables.
    outs = [folder / ("0" if is_shared else str(index)) for index in range(max(count, again))]
    job = Job(checkpoints, outs[:count])
    # A process that ends before process 0 listens lets the others wait for minutes: not what is tried.
    _wait_for(outs[0] / ".lock", longest * 4)
    time.sleep(delay)
    was_running = job.processes[victim].poll() is None
    job.processes[victim].send_signal(kind)
    endings = job.end()
    resumed = Job(checkpoints, outs[:again]).end() if again > 1 else [_alone(checkpoints, outs[0])]
    is_equal = all(code == 1 for code, _ in resumed) and tables(outs[0]) == expected
    survivors = [ending for index, ending in enumerate(endings) if index != victim]
    return {
        "seed": seed,
        "processes": count,
        "victim": victim,
        "signal": kind.name,
        "seconds": round(delay, 2),
        "was_running": was_running,
        "shared_disk": is_shared,
        "resumed_with": again,
        "codes": [code for code, _ in endings],
        "clean": all(_is_clean(code, text) for code, text in survivors),
        "equal": is_equal,
    }


def _is_clean(code: int, text: str) -> bool:
    """Return whether a survivor has ended the scan, or says in one sentence why not."""
    sentences = [line for line in text.splitlines() if line.startswith("error")]
    return code == 1 or (code == 2 and len(sentences) == 1 and "Traceback" not in text)


def _alone(checkpoints: Path, out: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(checkpoints)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    run = subprocess.run(
        [*command, "--out", str(out)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=LIMIT,
        check=False,
    )
    return run.returncode, run.stderr


def _wait_for(path: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def report(trials: Sequence[dict[str, Any]], settings: dict[str, object]) -> str:
    """Return the text of the results."""
    running = [x for x in trials if x["was_running"]]
    equal, clean = sum(x["equal"] for x in trials), sum(x["clean"] for x in trials)
    lines = [
        "# A scan that lost a process",
        "",
        f"{len(trials)} jobs of two or four processes lost one of them at a random time after they had "
        f"met; {len(running)} of the processes were still running. The scan was run again with one to "
        "four processes.",
        "",
        f"- **Tables equal to those of an undisturbed scan, byte for byte: {equal} of {len(trials)}.**",
        f"- Jobs whose other processes ended the scan or said in one sentence why not: {clean} of "
        f"{len(trials)}.",
        "",
        "| signal | process | jobs | equal | clean |",
        "|---|---|---:|---:|---:|",
    ]
    kinds = Counter((x["signal"], "0" if x["victim"] == 0 else "another") for x in trials)
    for (kind, process), n in sorted(kinds.items()):
        rows = [x for x in trials if (x["signal"], x["victim"] == 0) == (kind, process == "0")]
        counts = (sum(x[name] for x in rows) for name in ("equal", "clean"))
        lines.append(f"| {kind} | {process} | {n} | {' | '.join(map(str, counts))} |")
    text = ", ".join(f"{name} {value}" for name, value in settings.items())
    return "\n".join([*lines, "", f"Made by `python -m benchmarks.resume` on: {text}.", ""])


def main() -> None:
    """Run the trials of the command line and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    trials: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_checkpoints(root / "in")
        longest = seconds_of_a_scan(root / "in", root / "two", 2)
        _alone(root / "in", root / "one")
        expected = tables(root / "one")
        for seed in range(arguments.seed, arguments.seed + arguments.trials):
            trials.append(trial(root / "in", root / f"trial{seed}", expected, longest, seed))
            print(json.dumps(trials[-1]), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = machine(PACKAGES)
    (arguments.out / "resume.json").write_text(
        json.dumps({"machine": settings, "trials": trials}, indent=1)
    )
    (arguments.out / "README.md").write_text(report(trials, settings))


if __name__ == "__main__":
    main()
