"""Values that the shell completes: axes and columns of the scan on the line, metrics, figures, packages.

Nothing here imports JAX, and whatever fails completes nothing: a shell shows no error.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from jfilters.scans import Scan

Completer = Callable[[typer.Context, str], list[str]]

MOST = 200
"""Values that are offered at once."""

_COMPARISON = re.compile(r"^(?:.*[\s(])?([\w.]+)\s*[=!]=\s*(['\"]?)([^'\"]*)$", re.DOTALL)
"""A comparison at the end: its column, the quote and the text so far."""


def _quiet(complete: Completer) -> Completer:
    """Complete nothing where the scan cannot be opened or holds no such column."""

    @functools.wraps(complete)
    def quiet(context: typer.Context, incomplete: str) -> list[str]:
        with contextlib.suppress(Exception):  # deliberately broad: a completion is a courtesy
            return complete(context, incomplete)
        return []

    return quiet


@_quiet
def axes_of_scan(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of an axis: those with groups first, then all columns."""
    from jfilters.scans import all_axes, axes_of

    scan = _scan(context)
    return _matching(incomplete, dict.fromkeys([*axes_of(scan), *all_axes(scan)]))


@_quiet
def conditions_on_scan(context: typer.Context, incomplete: str) -> list[str]:
    """Complete a condition: its last word to a column, and what follows == to a label, as of a model."""
    from jfilters.scans import all_axes
    from jfilters.scans.internal import column

    scan = _scan(context)
    if match := _COMPARISON.match(incomplete):
        name, quote, text = match.groups()
        labels = {value for value in column(scan, name) if isinstance(value, str)}
        before, sign = incomplete[: match.start(2)], quote or "'"
        return [f"{before}{sign}{label}{sign}" for label in _matching(text, sorted(labels))]
    word = re.search(r"[\w.]*$", incomplete)
    start = word.start() if word else 0
    return [incomplete[:start] + name for name in _matching(incomplete[start:], all_axes(scan))]


@_quiet
def metrics(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a metric."""
    from jfilters.shift import METRICS

    return _matching(incomplete, METRICS)


@_quiet
def figure_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a figure."""
    from jfilters.report.figures import FIGURES

    return _matching(incomplete, FIGURES)


@_quiet
def axis_orders(context: typer.Context, incomplete: str) -> list[str]:
    """Complete an order of the axes of weights."""
    from jfilters.converters.internal import AXES

    return _matching(incomplete.upper(), AXES)


@_quiet
def packages(context: typer.Context, incomplete: str) -> list[str]:
    """Complete a package of the zoo."""
    from jfilters.zoo import entries

    return _matching(incomplete, dict.fromkeys(entry.package for entry in entries()))


@_quiet
def presets(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a preset, beside the files that the shell offers."""
    from ._config import preset_names

    return _matching(incomplete, preset_names())


@_quiet
def units(context: typer.Context, incomplete: str) -> list[str]:
    """Complete what a test exchanges."""
    return [*_matching(incomplete, ("auto", "model")), *axes_of_scan(context, incomplete)]


def _scan(context: typer.Context) -> "Scan":
    """Open the scan on the command line, with its metadata."""
    from jfilters.scans import open_scan, with_metadata

    # While a line is completed, typer leaves arguments among the words that it has not read.
    scan = open_scan(context.params.get("scan") or context.args[0])
    meta = context.params.get("meta")
    return scan if meta is None else with_metadata(scan, meta)[0]


def _matching(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)][:MOST]
