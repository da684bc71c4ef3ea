"""Answer the questions about the real networks of the zoo from a scan of them, and write results/zoo.

The tables come first, then the bundle of the scan, then the text. Every number of the text is taken from
the tables, and its claims are checked.
"""

import argparse
import sys
from pathlib import Path

from jfilters.scans import open_scan, save_bundle

from .._csv import write_csv
from .._text import write_text
from ._axes import axes
from ._contrasts import contrasts, means
from ._layers import shares_of_variance, verdicts
from ._neighbors import neighbors
from ._networks import Rows, kinds, networks, totals, twins, twins_by_format

TEMPLATE = Path(__file__).with_name("text.md")


def main(arguments: list[str] | None = None) -> int:
    """Write all tables and the bundle, then the text, and return the exit code."""
    options = _arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.text_only:
        _write_tables(options.scan, options.out, options.permutations)
        save_bundle(open_scan(options.scan), options.out / "zoo.bundle")
    write_text(options.out, TEMPLATE)
    return 0


def _write_tables(folder: Path, out: Path, permutations: int):
    scan = open_scan(folder)

    def table(name: str, rows: Rows) -> Rows:
        write_csv(out / f"{name}.csv", rows)
        print(f"wrote {out / name}.csv: {len(rows)} rows", file=sys.stderr, flush=True)
        return rows

    of_networks = table("networks", networks(scan))
    table("totals", totals(of_networks))
    table("kinds", kinds(of_networks))
    of_twins = table("twins", twins(scan, of_networks))
    table("twins_by_format", twins_by_format(of_twins))
    table("shares_of_variance", shares_of_variance(scan))
    table("verdicts", verdicts(scan))
    of_contrasts = table("contrasts", contrasts(scan))
    table("contrast_means", means(of_contrasts))
    table("neighbors", neighbors(scan, of_networks))
    table("axes", axes(scan, permutations))


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m study.zoo", description=__doc__)
    parser.add_argument("scan", type=Path, help="the scan of the zoo")
    parser.add_argument("--out", type=Path, required=True, help="the folder to fill")
    parser.add_argument("--permutations", type=int, default=999, help="relabelings of a test")
    parser.add_argument(
        "--text-only", action="store_true", help="write the text again, from its tables"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
