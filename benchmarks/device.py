"""Kernels a second of the statistics on an accelerator, as shares of its memory bandwidth, beside the CPU.

`python -m benchmarks.device` runs on whatever accelerator JAX finds, and on the CPU of the same machine; it
takes at most four minutes. It needs jfilters and JAX for the device, and nothing else. Without an
accelerator it measures the CPU alone and says so.
"""

import argparse
import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import jax

from ._device_work import Timing, moved_coefficients, peak, timings
from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "device"
SECONDS = 200
GOALS = {"histogram pass": 0.4, "moments": 0.6}
"""Shares of the memory bandwidth that are aimed at, for float32 on a device of the H200 class."""

HEAD = ("device", "work", "type", "kernels", "time", "kernels/s", "of copy", "of peak")


def main(arguments: list[str] | None = None) -> None:
    """Time the devices, print the table, and write the record and the page of all records."""
    parser = argparse.ArgumentParser("python -m benchmarks.device", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all devices together")
    parser.add_argument("--out", type=Path, default=OUT, help="the folder for the results")
    chosen = parser.parse_args(arguments)
    record = measured(chosen.seconds)
    print(section(record))
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1) + "\n"
    (chosen.out / f"{_slug(record['device'])}.json").write_text(text)
    (chosen.out / "README.md").write_text(page(chosen.out))


def measured(budget: float) -> dict[str, Any]:
    """Time the accelerator, if JAX finds one, and the CPU, and return the record."""
    first, cpu = jax.devices()[0], jax.devices("cpu")[0]
    devices = [first] if first.platform == "cpu" else [first, cpu]
    rows = [row for device in devices for row in timings(device, budget / len(devices))]
    return {
        "device": first.device_kind,
        "platform": first.platform,
        "accelerator": first.platform != "cpu",
        "peak_bytes_per_second": peak(first.device_kind),
        "moved_coefficients": moved_coefficients(first),
        "machine": machine(("jax", "jaxlib", "numpy")) | {"load": os.getloadavg()[0]},
        "rows": [dataclasses.asdict(row) for row in rows],
    }


def section(record: dict[str, Any]) -> str:
    """One record as Markdown."""
    rows = [Timing(**row) for row in record["rows"]]
    lines = [
        f"| {' | '.join(line)} |" for line in (HEAD, ["---"] * 3 + ["---:"] * 5, *map(cells, rows))
    ]
    described = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    notes = [f"On {record['device']} ({described})."]
    if record["accelerator"]:
        moved = record["moved_coefficients"]
        notes.append(f"{moved} of 2,359,296 coefficients are in another bin than on the CPU.")
        notes += [goal(row) for row in rows if row.work in GOALS and _is_judged(row, record)]
    else:
        notes.append("No accelerator was at hand: these are figures of the CPU alone.")
    return "\n".join(["\n".join(notes), "", *lines, ""])


def goal(row: Timing) -> str:
    """Say in a sentence whether a share reaches its goal."""
    least = GOALS[row.work]
    share = row.share_of_copy if row.share_of_peak is None else row.share_of_peak
    verdict = "reached" if (share or 0) >= least else "missed"
    return (
        f"The goal of {least:.0%} of the bandwidth for {row.work} is {verdict}, with {share:.0%}."
    )


def _is_judged(row: Timing, record: dict[str, Any]) -> bool:
    return row.device == record["device"] and row.dtype == "float32"


def page(folder: Path) -> str:
    """All records of a folder as one page."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    status = [] if any(r["accelerator"] for r in records) else [MISSING]
    return "\n\n".join([INTRODUCTION, *status, ESTIMATE, *map(section, records)]).rstrip() + "\n"


def cells(row: Timing) -> tuple[str, ...]:
    """One timing as text."""
    time = f"{1e3 * row.seconds:.2f} ms" if row.seconds < 1 else f"{row.seconds:.1f} s"
    shares = ("" if x is None else f"{x:.1%}" for x in (row.share_of_copy, row.share_of_peak))
    rate = f"{row.per_second / 1e6:,.1f} M"
    return (row.device, row.work, row.dtype, f"{row.kernels:,}", time, rate, *shares)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


INTRODUCTION = """# Speed on a device

`python -m benchmarks.device` wrote this page. "of copy" and "of peak" are the bytes of the kernels, read
once, over the bandwidth of a copy measured in the same run and over that of the data sheet. Quality is of
layers of one size, as one program; the scan reads host memory in two passes, with orthogonality."""

MISSING = """**No accelerator was at hand when these figures were made.** The goals for a GPU of the H200
class are 40 % of the memory bandwidth for the histogram pass and 60 % for moments: not measured."""

ESTIMATE = """## What to expect of a GPU: an estimate from the compiled program

XLA compiles for a GPU that is absent. The program for an H200 was read (132 multiprocessors, 64 integer
operations a clock each, 1.755 GHz, 4.8 TB/s). For each kernel of nine float32 taps, 36 bytes, it takes:

| histogram pass | bytes moved | integer operations | time |
| --- | ---: | ---: | ---: |
| bins of nine coefficients, one byte each | 46 | 60 | 11 ps |
| bins stacked | 19 | | 4 ps |
| nine words of eight counters | 31 | 324 | 22 ps |
| counters widened | 22 | 65 | 5 ps |

Together some 42 ps. That is 24 billion kernels a second or 18 % of the bandwidth: below the goal of 40 %.
The comparison with each of 72 bins, which this replaces, takes 1,900 operations. It reads each coefficient
72 times, 2,600 bytes from the cache: some 500 ps. More needs counters in shared memory, which JAX has only
in kernels written for one kind of device.

Moments read the kernels for their center, write them centered with a column of ones, and read them for one
matrix product: 150 to 190 bytes. That is 19 to 24 % of the bandwidth at most, below the goal of 60 %."""

if __name__ == "__main__":
    main()
