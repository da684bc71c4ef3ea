"""Train the networks of the study that are still missing, and write their tables.

The exit code is 1 if a network failed or stayed below its floor; it is named. A second run trains only the
missing networks. Ctrl-C loses the networks in training and no other.
"""

import argparse
import fnmatch
import os
import signal
import sys
import time
from pathlib import Path

from ._design import Run, design
from ._one import record_file
from ._pool import trained
from ._settings import Settings, read_settings
from ._tables import records, write_design, write_tables

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Train, write tables, report the outcome of every network, and return the exit code."""
    options = _arguments(arguments)
    settings = read_settings(options.config)
    everything = design(settings)
    runs = [run for run in everything if fnmatch.fnmatch(run.name, options.only)]
    if not runs:
        _print(
            f"error: expected a pattern that some of the {len(everything)} runs match: {options.only}"
        )
        return 2
    write_design(everything, settings, options.out)
    missing = [run for run in runs if not record_file(options.out, run).is_file()]
    _print(f"{len(runs)} networks, {len(missing)} to train")
    try:
        failed = _train(missing, settings, options.out, options.workers)
    except KeyboardInterrupt:
        _print("interrupted: run it again to resume")
        return INTERRUPTED
    finally:
        write_tables(records(everything, options.out), options.out)
    return 1 if failed else 0


def _train(missing: list[Run], settings: Settings, out: Path, workers: int) -> int:
    """Train the missing runs, and return how many of them failed."""
    started, failed = time.monotonic(), 0
    for count, (run, outcome) in enumerate(trained(missing, settings, out, workers), start=1):
        minutes = (time.monotonic() - started) / 60
        head = f"{count}/{len(missing)} {minutes:.1f} min {run.name}"
        if isinstance(outcome, BaseException):
            failed += 1
            _print(f"{head}: FAILED {type(outcome).__name__}: {outcome}")
        else:
            tries = f" in {outcome['tries']} tries" if outcome["tries"] > 1 else ""
            reached = f"{outcome['metric']} {outcome['score']:.3f}{tries}"
            _print(f"{head}: {reached}, {outcome['seconds']:.0f} s")
    return failed


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m study", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="configs/study.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", default="*", help="pattern of names of runs, to train some only")
    return parser.parse_args(arguments)


def _print(text: str):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    # A termination signal ends it like Ctrl-C, with its workers, in the background too.
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.default_int_handler)
    sys.exit(main())
