"""The same scan in several processes: a TPU pod, a Slurm or MPI job, or by hand.

Each process reads its share of the checkpoints on its own devices. Statistics, never weights, go from each
to all through collectives. What is to be equal on all, as the plan and the basis, comes from process 0.
"""

import contextlib
import heapq
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._detection import job_of
from ._job import Job

_CHUNK = 1 << 26  # bytes that one collective moves from each process

_PATIENCE, _WEEK = "xla_cpu_collective_timeout_seconds", 7 * 24 * 3600


class LostProcessError(ConnectionError):
    """Another process of the job has exited. The checkpoints that it had finished stay in the cache."""

    def __init__(self):
        reason = "another process of this job was lost; run the same command again"
        super().__init__(f"{reason}: checkpoints that were finished are not read again")


class Processes:
    """The processes of a job, seen from one of them; a process by itself is a job of one."""

    def __init__(self, index: int | None = None, count: int | None = None):
        if index is None or count is None:
            import jax

            index, count = jax.process_index(), jax.process_count()
        self.index, self.count = index, count

    def share(self, sizes: Sequence[int]) -> list[int]:
        """Indices of the checkpoints that this process reads, given the bytes of all.

        The largest are assigned first, each to the process with the smallest load. All processes compute
        the same assignment.
        """
        loads = [(0, process) for process in range(self.count)]
        share = []
        for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
            load, process = heapq.heappop(loads)
            heapq.heappush(loads, (load + sizes[index] + 1, process))
            share += [index] if process == self.index else []
        return sorted(share)

    def union(self, items: dict[int, bytes]) -> dict[int, bytes]:
        """Return the items of all processes, by index. All of them must call it.

        Raises LostProcessError if one has exited.
        """
        if self.count == 1:
            return items
        import msgpack

        data = _packed(items)
        try:
            # Two numbers: a size may not fit into the int32 that JAX moves.
            sizes = _gathered(np.array(divmod(len(data), _CHUNK), np.int32)) @ [_CHUNK, 1]
            parts = [
                _gathered(_padded(data[start : start + _CHUNK], min(sizes.max() - start, _CHUNK)))
                for start in range(0, sizes.max(), _CHUNK)
            ]
        except (ValueError, RuntimeError) as error:
            raise LostProcessError from error
        union: dict[int, bytes] = {}
        for process, size in enumerate(sizes):
            packed = b"".join(part[process].tobytes() for part in parts)
            union |= msgpack.unpackb(packed[:size], strict_map_key=False)
        return union

    def on_first(self, task: Callable[[], object]) -> bytes:
        """Run a task on process 0 alone, and return its bytes, if it has any, on all processes.

        All of them must call it. Raises the error of the task, OSError or ValueError, on all, and
        LostProcessError.
        """
        if self.count == 1:
            return _bytes(task())
        result, error = b"", None
        if self.index == 0:
            try:
                result = _bytes(task())
            except (ValueError, OSError) as raised:
                error = raised
        text = None if error is None else str(error)
        content = {0: _packed((result, text, isinstance(error, OSError)))}
        return _unpacked(self.union(content if self.index == 0 else {})[0], error)

    def check_equal(self, terms: Mapping[str, str]) -> None:
        """Raise ValueError on all processes, with the first difference, unless their terms are equal."""
        if self.count == 1:
            return
        import msgpack

        union = self.union({self.index: _packed(dict(terms))})
        of_all = [msgpack.unpackb(union[process]) for process in range(self.count)]
        for process, of_process in enumerate(of_all):
            for name in of_all[0] | of_process:
                first, value = (x.get(name, "nothing") for x in (of_all[0], of_process))
                if first != value:
                    reason = f"the processes of this job differ in {name}: process 0 has {first}"
                    remedy = "run the same command with the same versions in all of them"
                    raise ValueError(f"{reason}, process {process} has {value}; {remedy}")

    def overall_range(self, low: float, high: float) -> tuple[float, float]:
        """The lowest and the highest value of all processes."""
        if self.count == 1:
            return low, high
        import msgpack

        ranges = self.union({self.index: _packed((low, high))})
        lows, highs = zip(*map(msgpack.unpackb, ranges.values()), strict=True)
        return min(lows), max(highs)


def join(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Processes:
    """Join the job that this process is part of, before anything else uses JAX.

    Every process of the job calls it, and then runs the same scan with the result. A process by itself is
    a job of one.

    Args:
        coordinator: the address, host:port, at which process 0 listens and that all others reach. What is
            None is what the launcher tells: Slurm, Open MPI, MPICH and its kin, or a TPU pod.
        num_processes: the size of the job.
        process_id: the number of this process, from 0.

    Returns:
        The processes of the job, to pass to `scan` or `scan_into`.

    Raises:
        ValueError: some of the arguments are given and nothing tells the others, or what the launcher
            tells contradicts itself.
        ConnectionError: process 0 is not reached.
    """
    if _has_joined():
        return Processes()
    job = job_of(coordinator, num_processes, process_id)
    if job.count > 1:
        _initialize(job)
        with _stdout_to_stderr():  # gloo prints a line at the first collective
            Processes().union({})
    # A job may have been joined by the caller, but not without JAX, which is not imported to ask.
    return Processes() if "jax" in sys.modules else Processes(0, 1)


def _has_joined() -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def _initialize(job: Job) -> None:
    # gloo gives up after half an hour, in which another process may still read its share. XLA reads this
    # variable when the first program is compiled.
    flags = os.environ.get("XLA_FLAGS", "")
    if _PATIENCE not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_PATIENCE}={_WEEK}".strip()
    import jax

    # This service takes SIGTERM for itself: a process that is to end would go on.
    with contextlib.suppress(AttributeError):
        jax.config.update("jax_enable_preemption_service", False)
    devices = None if "JAX_LOCAL_DEVICE_IDS" in os.environ else job.device
    try:
        # Processes that have exited are detected by their broken connections: at the end no process has
        # to wait for them as long as JAX would.
        jax.distributed.initialize(
            *(job.coordinator, job.count, job.index),
            local_device_ids=devices,
            cluster_detection_method="deactivate",
            shutdown_timeout_seconds=60,
        )
    except (RuntimeError, ValueError) as error:
        reason = f"process {job.index} of {job.count} does not reach process 0 at {job.coordinator}"
        raise ConnectionError(f"{reason}: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _packed(content: Any) -> bytes:
    import msgpack

    data = msgpack.packb(content)
    assert data is not None  # for the type checker: only a streaming packer returns None
    return data


def _gathered(array: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array))


def _bytes(result: object) -> bytes:
    return result if isinstance(result, bytes) else b""


def _unpacked(packed: bytes, error: Exception | None) -> bytes:
    """Return the bytes of process 0, or raise its error, which only that process has."""
    import msgpack

    result, text, is_of_system = msgpack.unpackb(packed)
    if error is not None:
        raise error
    if text is not None:
        raise (OSError if is_of_system else ValueError)(text)
    return result


def _padded(data: bytes, size: int) -> np.ndarray:
    padded = np.zeros(size, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded
