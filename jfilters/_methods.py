"""The questions of a scan as its methods: the face sees the rooms on both sides, and introduces them."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .scans.internal import introduce

_METHODS = {
    "drift": ("questions", "drift_between"),
    "axes": ("questions", "axes_table"),
    "quality": ("questions", "quality"),
    "nearest": ("questions", "nearest"),
    "trajectory": ("questions", "trajectories"),
    "phenotypes": ("questions", "phenotypes"),
    "lineage": ("questions", "find_lineage"),
    "check": ("questions", "check"),
    "densities": ("questions", "fit_densities"),
    "report": ("report", "write_page"),
    "figures": ("report", "save_figures"),
}


def introduce_methods() -> None:
    """Tell `Scan` where its methods are; each room is imported when a method of it is first called."""
    introduce({method: _import(*target) for method, target in _METHODS.items()})


def _import(room: str, function: str) -> Callable[[], Callable[..., Any]]:
    return lambda: getattr(import_module(f"jfilters.{room}"), function)
