"""Measure jfilters beside its peers: every group into results/bench/, or chosen ones to look at.

`python -m benchmarks quality drift` prints two groups; `--quick` runs small sizes once. Only a whole run
is written, so that all rows of the table come from the same hour of the same machine.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from ._groups import GROUPS, measured
from ._machine import machine
from ._table import markdown, terminal
from ._timing import Row

OUT = Path(__file__).parent.parent / "results" / "bench"

PACKAGES = ("jax", "numpy", "scipy", "scikit-learn", "torch", "torchconvquality", "weightwatcher")


def main(arguments: list[str] | None = None) -> None:
    """Run the groups, print their rows, and keep those of a whole run."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="small sizes, once, not kept")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.groups) - set(GROUPS):
        parser.error(f"expected groups of {', '.join(GROUPS)}, got {', '.join(sorted(unknown))}")
    rows = list(measured(chosen.groups or GROUPS, quick=chosen.quick))
    terminal(rows)
    if not chosen.groups and not chosen.quick:
        write(rows, OUT)


def write(rows: list[Row], out: Path) -> None:
    """Write speed.json and speed.md into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    described = machine(PACKAGES)
    records = [{**dataclasses.asdict(row), "met": row.met} for row in rows]
    text = json.dumps({"machine": described, "rows": records}, indent=1)
    (out / "speed.json").write_text(text + "\n")
    (out / "speed.md").write_text(markdown(rows, described))


if __name__ == "__main__":
    main()
