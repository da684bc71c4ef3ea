"""The plan of a scan before it runs: who of a job reads what. No weights are read, JAX is not imported."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..answers import Answer
from ..converters import Location
from ..errors import printable, redacted
from ..io import is_folder
from ._cache import Cache
from ._detection import job_of
from ._job import Job
from ._options import DEFAULTS, Options
from ._plan import Entry, checkpoints_at, plan, within
from ._processes import Processes

RATE = 100.0
"""Megabytes that one process reads in a second: an assumption, about what one stream of a bucket gives."""


@dataclasses.dataclass(frozen=True)
class Share:
    """The checkpoints that one process reads; those that its cache holds are not read again."""

    process: int
    models: tuple[str, ...]
    bytes: int
    n_cached: int
    cached_bytes: int

    @property
    def bytes_to_read(self) -> int:
        """Bytes that are not in the cache."""
        return self.bytes - self.cached_bytes


@dataclasses.dataclass(frozen=True)
class PlannedScan(Answer):
    """A scan that has not run: the share of each process, what is ignored, and what is too large.

    `rate` is the assumption behind the minutes, in megabytes a second of one process.
    """

    checkpoints: str
    job: Job
    shares: tuple[Share, ...]
    ignored: tuple[str, ...]
    refused: tuple[str, ...]
    rate: float

    def record(self) -> dict[str, Any]:
        """Return the whole plan."""
        return {
            "checkpoints": self.checkpoints,
            "job": str(self.job),
            "launcher": self.job.launcher,
            "processes": self.job.count,
            "megabytes_per_second": self.rate,
            "minutes": self.minutes,
            "totals": {
                "checkpoints": sum(len(share.models) for share in self.shares),
                "bytes": sum(share.bytes for share in self.shares),
                "cached": sum(share.n_cached for share in self.shares),
                "cached_bytes": sum(share.cached_bytes for share in self.shares),
            },
            "shares": [
                row | {"models": list(share.models)}
                for row, share in zip(self.rows(), self.shares, strict=True)
            ],
            "too_large": list(self.refused),
            "ignored": list(self.ignored),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a process."""
        return [
            {
                "process": share.process,
                "checkpoints": len(share.models),
                "bytes": share.bytes,
                "cached": share.n_cached,
                "cached_bytes": share.cached_bytes,
                "minutes": self._minutes(share),
            }
            for share in self.shares
        ]

    @property
    def minutes(self) -> float:
        """Minutes of the process that reads most: the others wait for it."""
        return max(map(self._minutes, self.shares))

    def _minutes(self, share: Share) -> float:
        return round(share.bytes_to_read / (self.rate * 1e6) / 60, 3)


def planned_job(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Job:
    """Return the job that a scan would run in, which need not be there: its size alone is enough."""
    if num_processes is not None and coordinator is None and process_id is None:
        return Job("the command line", num_processes, 0)
    return job_of(coordinator, num_processes, process_id)


def planned_scan(
    checkpoints: Location | str | Sequence[Location | str],
    options: Options = DEFAULTS,
    *,
    job: Job,
    cache: Location | None = None,
    rate: float = RATE,
) -> PlannedScan:
    """Return the plan of a scan; arguments and errors are those of `scan`, and of a job of this size."""
    root, entries, ignored = plan(checkpoints_at(checkpoints))
    is_cached = _is_cached(entries, cache, options)
    # As in the scan, the shares are of all checkpoints: what is refused or cached takes its place.
    sizes = [entry.bytes for entry in entries]
    shares = []
    for process in range(job.count):
        share = [entries[index] for index in Processes(process, job.count).share(sizes)]
        readable = [entry for entry in share if within(entry, options)]
        shares.append(_share(process, readable, is_cached))
    return PlannedScan(
        printable(redacted(str(root))),
        job,
        tuple(shares),
        tuple(printable(redacted(str(path))) for path in ignored),
        tuple(entry.model for entry in entries if not within(entry, options)),
        rate,
    )


def _share(process: int, entries: Sequence[Entry], is_cached: dict[str, bool]) -> Share:
    cached = [entry for entry in entries if is_cached[entry.model]]
    return Share(
        process,
        tuple(entry.model for entry in entries),
        sum(entry.bytes for entry in entries),
        len(cached),
        sum(entry.bytes for entry in cached),
    )


def _is_cached(
    entries: Sequence[Entry], folder: Location | None, options: Options
) -> dict[str, bool]:
    if folder is None or not is_folder(folder):
        return dict.fromkeys((entry.model for entry in entries), False)
    cache = Cache(folder, dataclasses.replace(options, sha256=False))  # without a hash of weights
    cache.prepare(entries)
    return {entry.model: cache.find(entry) is not None for entry in entries}
