"""One checkpoint on a worker of a cluster: a `Local` engine opens it there, only statistics go back."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import CheckpointError
from ..statistics import Basis
from ._bins import Bins
from ._checkpoint_statistics import CheckpointStatistics, dump, load
from ._compilation import keep_compiled
from ._local import Local
from ._options import Options
from ._plan import Entry
from ._weight_stores import TemporaryStore


@dataclasses.dataclass(frozen=True)
class Context:
    """The options and the folder that all tasks of a scan share; paths are relative to `folder`."""

    options: Options
    folder: Path


@dataclasses.dataclass(frozen=True)
class Response:
    """The result of a task: statistics as `dump` writes them, empty where none were requested."""

    statistics: bytes = b""
    sha256: str | None = None
    low_high: tuple[float, float] = (math.inf, -math.inf)

    @classmethod
    def of_failure(cls, entry: Entry, error: CheckpointError, options: Options) -> "Response":
        """A checkpoint that could not be read, with its reason."""
        return cls(dump(CheckpointStatistics.of_nothing(entry.without(error), options)))


Request = Callable[..., Response]
"""The request to an engine: one of `measured`, `counted` and `ranged`."""


def run_task(
    context: Context, request: Request, entry: Entry, statistics: bytes, shared: Bins | Basis | None
) -> Response | CheckpointError:
    """Run one task in this process, on a worker of a cluster.

    **Arguments:**

    - `context`: the options and the folder of the scan.
    - `request`: one of `measured`, `counted` and `ranged`.
    - `entry`: the checkpoint to read.
    - `statistics`: those of it from an earlier task, as `dump` writes them; empty at the first.
    - `shared`: the bins or the basis that the request needs.

    **Returns:** the response, or the error that ends a strict scan: Ray would wrap a raised one in its own.
    """
    keep_compiled()
    with contextlib.suppress(OSError):  # absolute paths and URLs need no such folder here
        os.chdir(context.folder)
    try:
        with TemporaryStore(0) as store, Local(context.options, store, memory_bytes=0) as engine:
            return request(engine, entry, statistics, shared)
    except CheckpointError as error:
        return error


def measured(engine: Local, entry: Entry, statistics: bytes, bins: Bins | None) -> Response:
    """Read a checkpoint for the first time, and hash it; it has no statistics yet."""
    ((index, result),) = engine.measure([(0, entry)], bins)
    return Response(dump(result), engine.sha256(index))


def counted(engine: Local, entry: Entry, statistics: bytes, bins: Bins) -> Response:
    """Read a checkpoint again for its histograms."""
    ((_, result),) = engine.count([(0, load(statistics, entry))], bins)
    return Response(dump(result))


def ranged(engine: Local, entry: Entry, statistics: bytes, basis: Basis) -> Response:
    """Smallest and largest coefficient of a checkpoint; with statistics only if it failed."""
    failed, low_high = engine.coefficient_range([(0, load(statistics, entry))], basis)
    return Response(b"".join(dump(result) for _, result in failed), low_high=low_high)
