"""The groups of rows that a table has, each measured in a process of its own."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from . import _bandwidth, _command, _density, _drift, _histograms, _quality, _rescan, _start, _watch
from ._timing import Row

GROUPS: dict[str, Callable[..., list[Row]]] = {
    "histograms": _histograms.rows,
    "quality": _quality.rows,
    "drift": _drift.rows,
    "bandwidth": _bandwidth.rows,
    "rescan": _rescan.rows,
    "command": _command.rows,
    "start": _start.rows,
    "watch": _watch.rows,
    "density": _density.rows,
}


def measured(groups: Iterable[str], *, quick: bool) -> Iterator[Row]:
    """The rows of the groups, one group after the other.

    Each in a new process: how fast peers and we are depends on the memory and threads that others left.
    """
    spawn = multiprocessing.get_context("spawn")
    for group in groups:
        with ProcessPoolExecutor(1, mp_context=spawn) as process:
            yield from process.submit(_rows, group, quick=quick).result()


def _rows(group: str, *, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return GROUPS[group](Path(folder), quick=quick)
