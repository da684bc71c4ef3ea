"""A folder scanned again: what was finished is not read a second time."""

import shutil
from pathlib import Path

from jfilters.engine import scan_into
from jfilters.scans import Scan

from ._timing import Row, side_by_side
from .population import write_population

KERNELS = 2e7


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """The second scan of 60 networks beside the first."""
    kernels = 1e5 if quick else KERNELS
    networks, out, fresh = folder / "networks", folder / "out", folder / "fresh"
    write_population(int(kernels), networks, seed=0)

    def again() -> Scan:
        return scan_into(out, networks)

    def first() -> Scan:
        shutil.rmtree(fresh, ignore_errors=True)
        return scan_into(fresh, networks)

    work = f"scan of 60 networks with {kernels:,.0f} kernels, already scanned"
    runs = 1 if quick else 3
    return [side_by_side(work, again, first, peer="the first scan", runs=runs, least_ratio=20)]
