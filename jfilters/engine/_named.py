"""Networks by their names, in memory or at a path: the plan of a scan of a dict.

An entry in memory lies at no path and is told apart by its content. What cannot be read is an entry with
its reason, as a file is.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..converters import Location, location
from ..converters.internal import MemoryNetwork, is_path
from ..errors import CheckpointError, printable
from ._plan import Entry, find_checkpoints, model_name, planned

ROOT = Path("memory")
"""The text that stands in the record of a scan where others have the folder that was scanned."""


def check_names(networks: Mapping[Any, Any]) -> None:
    """Raise ValueError for no network, and for a name that is no text."""
    if not networks:
        raise ValueError("expected networks by their names, got an empty dict")
    for name in networks:
        if not isinstance(name, str) or not name:
            kind = type(name).__name__
            raise ValueError(f"expected names of networks as text, got {name!r} of type {kind}")


def plan_named(networks: Mapping[str, Any]) -> tuple[Location, list[Entry], list[Location]]:
    """Return what `plan` returns, for networks by their names.

    A folder of several checkpoints gives a model for each, NAME/PATH. Raises ValueError for tracers, and
    for two models of one name.
    """
    entries: list[Entry] = []
    ignored: list[Location] = []
    for name, network in networks.items():
        if is_path(network):
            found, others = _at_path(printable(name), network)
            entries += found
            ignored += others
        else:
            entries.append(_in_memory(name, network))
    _check_distinct([entry.model for entry in entries])
    return ROOT, entries, ignored


def _check_distinct(models: list[str]) -> None:
    twice = [model for model, count in Counter(models).items() if count > 1]
    if twice:
        raise ValueError(f"expected distinct names of models, got {twice[0]!r} more than once")


def _in_memory(name: str, network: Any) -> Entry:
    memory = MemoryNetwork(name, network)
    return Entry(printable(name), memory.path, bytes=memory.bytes, memory=memory)


def _at_path(name: str, path: Location | str) -> tuple[list[Entry], list[Location]]:
    try:
        root = location(path)
        candidates, ignored = find_checkpoints(root)
    except CheckpointError:  # which opening it will say again
        return [_in_memory(name, path)], []
    entries = list(_renamed(name, root, candidates))
    return entries or [_in_memory(name, path)], ignored


def _renamed(name: str, root: Location, candidates: list[Location]) -> Iterator[Entry]:
    for entry in planned(root, candidates):
        is_whole = candidates == [entry.path]
        model = name if is_whole else f"{name}/{model_name(entry.path, root)}"
        yield dataclasses.replace(entry, model=model)
