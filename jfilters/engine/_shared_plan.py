"""One plan for all processes of a job: process 0 lists the checkpoints, and the others never do.

A folder changes while hosts list it, in a live run or an upload. Each process compares the checkpoints of
its share with what process 0 saw. One that is gone or differs is an entry that failed.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..converters import Location, location
from ..converters.internal import identity, is_path, is_remote
from ..errors import UnreadableError, printable, redacted
from ..scans import MetadataTable, read_metadata
from ..statistics import Basis
from ._options import Options
from ._plan import Entry, files_of
from ._processes import Processes

Plan = tuple[Location, list[Entry], list[Location]]
"""The folder that names are relative to, every candidate as an entry, and what is ignored."""

_REQUESTS = 16
"""Remote files that are looked at together: each takes a request."""

_OF_ENTRY = ("model", "step", "bytes")


def check_agreement(
    processes: Processes,
    checkpoints: Any,
    options: Options,
    basis: Basis | None,
    metadata: MetadataTable | Path | str | None,
    versions: Mapping[str, object],
) -> None:
    """Raise ValueError on all processes of a job if one of them was started in another way.

    `versions` are those of the programs, whose bits may differ from one to the next.
    """
    if processes.count == 1:
        return
    terms = {f"the version of {name}": str(version) for name, version in versions.items()}
    terms |= {f"the option {name}": json.dumps(x) for name, x in options.record().items()}
    terms |= {"the basis": "none" if basis is None else _short(_bytes_of(basis))}
    terms |= {"the metadata": _metadata_term(metadata)}
    processes.check_equal(terms | _checkpoint_terms(checkpoints))


def shared_plan(planned: Callable[[], Plan], checkpoints: Any, processes: Processes) -> Plan:
    """Return the plan of process 0 on all processes, after a look at the checkpoints of one's share.

    Raises what planning raises on process 0.
    """
    if processes.count == 1:
        return planned()
    record = json.loads(processes.on_first(lambda: _packed(*planned())))
    located, networks = _locations_like(checkpoints), _in_memory(checkpoints)
    entries = [_entry(fields, located, networks) for fields in record["entries"]]
    share = processes.share([entry.bytes for entry in entries])
    with ThreadPoolExecutor(_REQUESTS) as pool:
        stamps = [record["entries"][index]["stamp"] for index in share]
        checked = pool.map(_as_here, [entries[index] for index in share], stamps)
        for index, entry in zip(share, checked, strict=True):
            entries[index] = entry
    return located(record["root"]), entries, [located(path) for path in record["ignored"]]


def shared_table(
    metadata: MetadataTable | Path | str | None, processes: Processes
) -> MetadataTable | None:
    """Return a table of metadata, whose file process 0 reads for all."""
    if not isinstance(metadata, Path | str):
        return metadata
    if processes.count == 1:
        return read_metadata(metadata)
    data = processes.on_first(lambda: _packed_table(read_metadata(metadata)))
    record = json.loads(data)
    return MetadataTable(Path(record["path"]), tuple(record["keys"]), record["columns"])


def shared_basis(fit: Callable[[], Basis | None], processes: Processes) -> Basis | None:
    """Return the basis that process 0 fits: other processors may round its last bits differently."""
    if processes.count == 1:
        return fit()

    def packed() -> bytes:
        basis = fit()
        return b"" if basis is None else _bytes_of(basis)

    rows = np.frombuffer(processes.on_first(packed), np.float64)
    if not len(rows):
        return None
    d = round((1 + len(rows)) ** 0.5) - 1  # d * d components after d means and d ratios
    return Basis(rows[:d].copy(), rows[2 * d :].reshape(d, d).copy(), rows[d : 2 * d].copy())


def _packed(root: Location, entries: list[Entry], ignored: list[Location]) -> bytes:
    with ThreadPoolExecutor(_REQUESTS) as pool:
        stamps = list(pool.map(_stamp, entries))
    records = [
        {name: getattr(entry, name) for name in _OF_ENTRY}
        | {"path": str(entry.path), "identity": entry.identity, "stamp": stamp}
        | {"memory": entry.memory is not None, "status": entry.status, "reason": entry.reason}
        for entry, stamp in zip(entries, stamps, strict=True)
    ]
    paths = [str(path) for path in ignored]
    return json.dumps({"root": str(root), "entries": records, "ignored": paths}).encode()


def _entry(
    fields: dict[str, Any], located: Callable[[str], Location], networks: dict[str, Entry]
) -> Entry:
    if fields["memory"]:
        return networks[fields["model"]]
    names = (*_OF_ENTRY, "identity", "status", "reason")
    return Entry(path=located(fields["path"]), **{name: fields[name] for name in names})


def _as_here(entry: Entry, stamp: str | None) -> Entry:
    """Return an entry of this process's share as it lies here: failed if it differs from the plan."""
    if entry.memory is not None or stamp is None:
        return entry
    current = _stamp(entry)
    if current == stamp:
        # Of a copy on the disk of this machine, which has times and numbers of its own.
        return dataclasses.replace(entry, identity=identity(entry.path))
    if current is None:
        reason, remedy = "process 0 listed it, but it is gone here", "put it where all find it"
    else:
        reason = "it differs in size or time from what process 0 listed"
        remedy = "scan again when nothing writes there; copies need the times of the original"
    return entry.without(UnreadableError(reason, path=entry.path, remedy=remedy))


def _stamp(entry: Entry) -> str | None:
    """Return a text that is equal on all machines while the checkpoint does not change; None without one.

    Inode and time of change, which an identity has too, are not those of a copy on another machine.
    """
    path = entry.path
    if entry.memory is not None:
        return None
    if not isinstance(path, Path):
        return identity(path)
    try:
        files = {os.path.relpath(file, path): os.stat(file) for file in files_of(path)}
    except OSError:
        return None
    texts = (f"{name}\0{x.st_size}\0{x.st_mtime_ns}" for name, x in files.items())
    return _short("\n".join(texts).encode("utf-8", "surrogateescape"))


def _locations_like(checkpoints: Any) -> Callable[[str], Location]:
    """Return a function from texts to locations, with the options of the file systems of the caller."""
    remote = {path.protocol: path for path in _paths(checkpoints) if is_remote(path)}

    def located(text: str) -> Location:
        protocol = text.partition("://")[0]
        if "://" not in text or protocol not in remote:
            return Path(text) if "://" not in text else location(text)
        like = remote[protocol]
        return type(like)(text, protocol=like.protocol, **like.storage_options)

    return located


def _paths(checkpoints: Any) -> Iterator[Any]:
    if isinstance(checkpoints, Mapping):
        checkpoints = [value for value in checkpoints.values() if is_path(value)]
    several = [checkpoints] if is_path(checkpoints) else checkpoints
    yield from (location(path) for path in several if is_path(path))


def _in_memory(checkpoints: Any) -> dict[str, Entry]:
    """Return the networks in the memory of this process, by the names of their models."""
    if not isinstance(checkpoints, Mapping):
        return {}
    from ._named import plan_named  # imports JAX

    networks = {name: value for name, value in checkpoints.items() if not is_path(value)}
    return {entry.model: entry for entry in plan_named(networks)[1]}


def _checkpoint_terms(checkpoints: Any) -> dict[str, str]:
    """Return the text of each path, and the content of each network in memory."""
    if not isinstance(checkpoints, Mapping):
        several = [checkpoints] if is_path(checkpoints) else list(checkpoints)
        return {"the checkpoints": ", ".join(printable(redacted(str(path))) for path in several)}
    terms = {
        f"the network {printable(str(name))!r}": printable(redacted(str(value)))
        for name, value in checkpoints.items()
        if is_path(value)
    }
    for name, entry in _in_memory(checkpoints).items():
        sha256 = entry.memory and entry.memory.sha256()
        terms[f"the network {name!r}"] = f"{entry.bytes} bytes, sha256 {str(sha256)[:12]}"
    return terms | {"the order of networks": ", ".join(map(str, checkpoints))}


def _metadata_term(metadata: MetadataTable | Path | str | None) -> str:
    if metadata is None:
        return "none"
    # A file need not lie on every machine.
    is_file = isinstance(metadata, Path | str)
    return "a file" if is_file else f"a table, {_short(_packed_table(metadata))}"


def _packed_table(table: MetadataTable) -> bytes:
    record = {"path": str(table.path), "keys": table.keys, "columns": table.columns}
    return json.dumps(record).encode()


def _bytes_of(basis: Basis) -> bytes:
    arrays = (basis.mean, basis.variance_ratio, basis.components)
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays]).tobytes()


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
