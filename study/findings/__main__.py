"""Answer all questions of the study from its scan, and write results/study: tables, provenance and text.

The tables come first. Every number of the text is taken from them, and its claims are checked.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from jfilters.scans import open_scan

from .._csv import write_csv
from .._text import write_text
from ._axes import Rows, alone, axes, pairs
from ._density import agreement, divergences
from ._papers import papers, shares_of_variance
from ._parts import Parts
from ._phenotypes import shapes
from ._provenance import comparisons, networks, write_provenance
from ._series import means, series, trends
from ._training import settling, stages, steps

TEMPLATE = Path(__file__).with_name("text.md")


def main(arguments: list[str] | None = None) -> int:
    """Write all tables, then the text, and return the exit code."""
    options = _arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.text_only:
        _write_tables(options.scan, options.population, options.out)
    write_text(options.out, TEMPLATE)
    return 0


def _write_tables(scan: Path, population: Path, out: Path):
    parts, tables = Parts(open_scan(scan)), {}

    def table(name: str, make: Callable[[], Rows]) -> Rows:
        tables[name] = make()
        write_csv(out / f"{name}.csv", tables[name])
        print(f"wrote {out / name}.csv: {len(tables[name])} rows", file=sys.stderr, flush=True)
        return tables[name]

    table("networks", lambda: networks(population))
    of_axes = table("axes", lambda: axes(parts))
    of_pairs = table("pairs", lambda: pairs(parts))
    table("alone", lambda: alone(parts))
    of_stages = table("stages", lambda: stages(parts))
    of_steps = table("steps", lambda: steps(parts))
    table("settling", lambda: settling(of_steps))
    of_series = table("series", lambda: series(parts))
    table("series_means", lambda: means(of_series))
    of_trends = table("trends", lambda: trends(of_series))
    shares = table("shares_of_variance", lambda: shares_of_variance(parts))
    table("phenotypes", lambda: shapes(parts))
    of_density = table("density", lambda: divergences(parts))
    table("agreement", lambda: agreement(of_density))
    table("papers", lambda: papers(of_axes, of_pairs, shares, of_stages, of_trends))
    table("comparisons", lambda: comparisons(tables))
    write_provenance(scan, population, out)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m study.findings", description=__doc__)
    parser.add_argument("scan", type=Path, help="the scan of the population and the zoo")
    parser.add_argument(
        "--population", type=Path, required=True, help="the folder that `study` wrote"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument(
        "--text-only", action="store_true", help="write the text from the tables in the folder"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
