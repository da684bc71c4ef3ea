"""Time and memory of `jfilters scan` against the number of kernels.

`python -m benchmarks.scaling --folder DIR`: each size is written once into DIR (18 GB for 5e8 kernels)
and kept there. A folder is read once just before its scan: that is the time that reading alone takes,
and the page cache is then as warm as memory allows.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "population"
SIZES = (1e6, 1e7, 1e8, 5e8)
WARM_UP = 1e5
BUFFER = 16 << 20


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One scan in a process of its own; times in seconds, sizes in bytes.

    `peak_memory` is the largest resident set of any one of its processes.
    """

    orthogonality: bool
    kernels: int
    checkpoints: int
    size: int
    reading: float
    wall: float
    cpu: float
    peak_memory: int


def main() -> None:
    """Measure every size, smallest first, and write the record, the table and the figure."""
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the populations lie")
    parser.add_argument("--kernels", type=float, nargs="+", default=SIZES, help="the sizes")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder for the results")
    chosen = parser.parse_args()
    # So that no size pays for the compilation.
    for with_it in (True, False):
        measure(chosen.folder, WARM_UP, orthogonality=with_it)
    found = [
        measure(chosen.folder, kernels, orthogonality=with_it)
        for kernels in sorted(chosen.kernels)
        for with_it in (False, True)
    ]
    write(found, chosen.out)


def measure(folder: Path, kernels: float, *, orthogonality: bool) -> Measurement:
    """Write the population unless it is there, read it once, scan it."""
    checkpoints = folder / f"kernels-{kernels:.0e}"
    if not checkpoints.exists():
        _write_population(checkpoints, kernels)
    files = sorted(checkpoints.glob("*.safetensors"))
    start = time.perf_counter()
    size = sum(map(read, files))
    reading = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        arguments = ["--checkpoints", str(checkpoints), "--out", out]
        if not orthogonality:
            arguments.append("--no-orthogonality")
        usage = run("jfilters_cli", "scan", *arguments)
        wall = time.perf_counter() - start
        totals = json.loads((Path(out) / "scan.json").read_text())["totals"]
    return Measurement(
        orthogonality=orthogonality,
        kernels=totals["kernels"],
        checkpoints=totals["checkpoints"],
        size=size,
        reading=reading,
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_memory=usage.ru_maxrss * 1024,
    )


def read(path: Path) -> int:
    """Read a file and forget it; its size."""
    buffer, size = bytearray(BUFFER), 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            size += count
    return size


def run(module: str, *arguments: str) -> resource.struct_rusage:
    """Run a module in a new process; what that process and its children used."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.DEVNULL
    )
    # wait4 tells of this child alone; getrusage would tell of the largest so far.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} ended with {process.returncode}")
    return usage


def _write_population(folder: Path, kernels: float) -> None:
    # In a process of its own: a child's peak memory starts from that of its parent.
    partial = folder.with_name(folder.name + ".partial")
    run("benchmarks.population", "--kernels", str(kernels), "--out", str(partial))
    partial.rename(folder)


def write(found: list[Measurement], out: Path) -> None:
    """Write population.json, population.md and population.png."""
    from ._figure import figure

    out.mkdir(parents=True, exist_ok=True)
    described = machine(("jax", "numpy"))
    records = [dataclasses.asdict(measurement) for measurement in found]
    text = json.dumps({"machine": described, "scans": records}, indent=1)
    (out / "population.json").write_text(text + "\n")
    (out / "population.md").write_text(markdown(found, described))
    figure(found, out / "population.png")


def markdown(found: list[Measurement], machine: dict[str, object]) -> str:
    """The measurements as a table under a line on the machine."""
    described = ", ".join(f"{key} {value}" for key, value in machine.items())
    titles = ["kernels", "orthogonality", "GB", "reading alone", "scan", "CPU time"]
    head = [*titles, "kernels a second", "peak memory"]
    lines = [" | ".join(_cells(measurement)) for measurement in found]
    text = (
        f"`jfilters scan` of {found[-1].checkpoints} wide residual networks, into an empty "
        f"folder, by `python -m benchmarks.scaling` ({described}).\n\n"
        "Each population is read once just before its scan. Programs are compiled already."
    )
    table = [" | ".join(head), " | ".join(["---:"] * len(head)), *lines]
    return "\n".join([text, "", *table]) + "\n"


def _cells(m: Measurement) -> list[str]:
    return [
        f"{m.kernels:,}",
        "yes" if m.orthogonality else "no",
        f"{m.size / 1e9:.2f}",
        f"{m.reading:.1f} s",
        f"{m.wall:.1f} s",
        f"{m.cpu:.1f} s",
        f"{m.kernels / m.wall:,.0f}",
        f"{m.peak_memory / 1e6:,.0f} MB",
    ]


if __name__ == "__main__":
    main()
