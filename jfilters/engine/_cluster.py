"""The engine of a Ray cluster: one checkpoint is one task, and only statistics are sent back.

Each task reads its checkpoint where it runs. So every node needs the same versions of Python, Ray and
jfilters, and finds the checkpoints where the scan does: at the same path of a shared disk, or at a URL.
"""

import contextlib
import itertools
import logging
import math
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import CheckpointError, MissingExtraError, UnreadableError
from ..statistics import Basis
from ._bins import Bins
from ._checkpoint_statistics import dump, load
from ._cluster_head import NODE_DIED, Head, shut_down, without_messages_of_ray
from ._cluster_workers import Workers, run_on_worker
from ._engine import Numbered, Progress
from ._options import Options
from ._plan import Entry
from ._task import Context, Request, Response, counted, measured, ranged

TASKS_PER_SLOT = 4
"""Tasks submitted for each that the cluster runs at a time: enough that no CPU waits for the next one."""

RETRIES = 5
"""Retries of a checkpoint after the process or the node that read it died."""

PATIENCE = 600.0
"""Seconds that a cluster may be without CPUs or GPUs: a cloud takes minutes to start a machine."""

POLL = 2.0
"""Seconds without a response after which the resources of the cluster are counted again."""

_ANSWER = 10.0  # seconds that the first connection may take

Shared = Bins | Basis | None


class Cluster:
    """Reads checkpoints on the nodes of an existing Ray cluster. A context manager: it connects.

    **Arguments:**

    - `address`: the cluster's, such as "10.0.0.1:6379"; None means the one that this machine is part of.
        A process that is already connected to a cluster stays with it.
    - `num_gpus`: GPUs of each task, as in Ray: 0 computes on CPUs, and tasks share a GPU below 1.

    A checkpoint is read again on the node that read it first, unless that is gone or busy. When a node
    dies, its tasks run again on others, with the same result.

    **Raises:** MissingExtraError without ray; ValueError if no node has the GPUs; ConnectionError where
    there is no cluster, or it is lost.
    """

    def __init__(
        self,
        options: Options,
        progress: Progress | None = None,
        address: str | None = None,
        num_gpus: int | float = 0,
    ):
        self._options, self._address = options, address
        self._progress = progress or (lambda stage, done, total: None)
        self._hashes: dict[int, str | None] = {}
        self._nodes: dict[int, str] = {}
        self._ray = _imported()
        self._head = Head(self._ray)
        self._workers = Workers(self._ray, num_gpus)

    def __enter__(self) -> "Cluster":
        with contextlib.ExitStack() as started:
            if not self._ray.is_initialized():
                started.enter_context(without_messages_of_ray())
                _connect(self._ray, self._address or "auto")
                started.callback(shut_down, self._ray)
            with self._errors_of_ray():
                self._workers.check(self._head)
                self._context = self._ray.put(Context(self._options, Path.cwd()))
            self._task = self._ray.remote(run_on_worker)
            self._end = started.pop_all().close
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def measure(
        self, entries: Sequence[tuple[int, Entry]], bins: Bins | None = None
    ) -> Iterator[Numbered]:
        """Open and read checkpoints for the first time, with histograms if their `bins` are given.

        Each is yielded as soon as its task is done. One that cannot be read is an entry with its reason.
        """
        for index, entry, response in self._responses("moments", measured, bins, entries):
            self._hashes[index] = response.sha256
            yield index, load(response.statistics, entry)

    def count(self, results: Collection[Numbered], bins: Bins) -> Iterator[Numbered]:
        """Read checkpoints again for histograms in `bins`, which replace earlier histograms."""
        for index, entry, response in self._again("histograms", counted, bins, results):
            yield index, load(response.statistics, entry)

    def coefficient_range(
        self, results: Collection[Numbered], basis: Basis
    ) -> tuple[list[Numbered], tuple[float, float]]:
        """The checkpoints that failed, and the smallest and largest coefficient of all kernels."""
        failed, low, high = [], math.inf, -math.inf
        for index, entry, response in self._again("range", ranged, basis, results):
            if response.statistics:
                failed.append((index, load(response.statistics, entry)))
            low, high = min(low, response.low_high[0]), max(high, response.low_high[1])
        return failed, (low, high)

    def sha256(self, index: int) -> str | None:
        """Return the hash of a checkpoint that was measured."""
        return self._hashes.get(index)

    def after_hash(self, task: Callable[[], None]) -> None:
        """Run a task at once: a checkpoint comes back hashed."""
        task()

    def _again(
        self, stage: str, request: Request, shared: Shared, results: Collection[Numbered]
    ) -> Iterator[tuple[int, Entry, Response]]:
        entries = [(index, result.entry) for index, result in results]
        statistics = (dump(result) for _, result in results)
        yield from self._responses(stage, request, shared, entries, statistics)

    def _responses(
        self,
        stage: str,
        request: Request,
        shared: Shared,
        entries: Sequence[tuple[int, Entry]],
        statistics: Iterable[bytes] = itertools.repeat(b""),
    ) -> Iterator[tuple[int, Entry, Response]]:
        """The response to a request for each entry, in the order in which the tasks are done."""
        done, total = 0, sum(entry.bytes for _, entry in entries)
        self._progress(stage, done, total)
        with self._errors_of_ray():
            shared = self._ray.put(shared)
        tasks = (
            (self._submit(index, request, entry, data, shared), index, entry)
            for (index, entry), data in zip(entries, statistics, strict=False)
        )
        for reference, index, entry in self._done(tasks):
            response = self._response(reference, index, entry)
            done += entry.bytes
            self._progress(stage, done, total)
            yield index, entry, response

    def _submit(self, index: int, *arguments: object) -> Any:
        options = self._workers.options(self._nodes.get(index))
        return self._task.options(max_retries=RETRIES, **options).remote(self._context, *arguments)

    def _done(self, tasks: Iterator[tuple[Any, int, Entry]]) -> Iterator[tuple[Any, int, Entry]]:
        """The tasks as they get done; they are started a few at a time, and canceled at the end."""
        started = {}
        with self._errors_of_ray(), self._stopped_at_the_end(started):
            while True:
                free = max(1, int(TASKS_PER_SLOT * self._slots())) - len(started)
                started |= {task[0]: task for task in itertools.islice(tasks, max(0, free))}
                if not started:
                    return
                yield started.pop(self._next(list(started)))

    def _next(self, references: list) -> Any:
        """The first of several tasks to get done."""
        patience = PATIENCE
        while not (ready := self._ray.wait(references, timeout=POLL)[0]):
            patience = PATIENCE if self._slots() else patience - POLL
            if patience <= 0:
                raise ConnectionError(f"none of its nodes has {self._workers.needs}")
        return ready[0]

    def _slots(self) -> float:
        return self._workers.slots(self._head.resources())

    def _response(self, reference: Any, index: int, entry: Entry) -> Response:
        response = self._fetched(reference, index, entry)
        if not isinstance(response, CheckpointError):
            return response
        if self._options.strict:
            raise response
        return Response.of_failure(entry, response, self._options)

    def _fetched(self, reference: Any, index: int, entry: Entry) -> Response | CheckpointError:
        errors = self._ray.exceptions
        died = (
            errors.WorkerCrashedError,
            errors.OutOfMemoryError,
            errors.NodeDiedError,
            errors.LocalRayletDiedError,
            errors.ObjectLostError,
        )
        with self._errors_of_ray():
            try:
                place, response = self._ray.get(reference)
            except died:
                reason = f"the process that read it died, {RETRIES + 1} times over"
                return UnreadableError(reason, path=entry.path, remedy="look into the logs of Ray")
        self._nodes[index] = place.node
        self._workers.check_device(place)
        return response

    @contextlib.contextmanager
    def _stopped_at_the_end(self, started: dict) -> Iterator[None]:
        try:
            yield
        finally:
            for reference in started:
                self._ray.cancel(reference)

    @contextlib.contextmanager
    def _errors_of_ray(self) -> Iterator[None]:
        errors = self._ray.exceptions
        try:
            yield
        except errors.RayTaskError:  # a bug: it keeps its traceback
            raise
        except (errors.RayError, OSError, SystemExit) as error:
            # A call of Ray exits the process by itself when the node of this machine has died.
            own = isinstance(error, SystemExit | BrokenPipeError)
            cause = NODE_DIED if own else _in_one_line(error)
            reason = f"the Ray cluster is lost: {cause}; run the same command again to go on"
            raise ConnectionError(f"{reason}: finished checkpoints are not read again") from error


def _imported() -> ModuleType:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError("ray", "cluster") from error
    return ray


def _connect(ray: ModuleType, address: str) -> None:
    try:
        _check_reachable(address)
        ray.init(address=address, logging_level=logging.CRITICAL, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        reason = f"no connection to a Ray cluster at {address}: {_in_one_line(error)}"
        raise ConnectionError(reason) from error


def _check_reachable(address: str) -> None:
    # Ray itself would try for minutes.
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
