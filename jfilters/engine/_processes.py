"""The same scan in several processes: a TPU pod, a Slurm or Open MPI job, or by hand.

Each process reads its share of the checkpoints on its own devices. Statistics, never weights, go from each
to all through collectives, so that all fit the same basis.
"""

import contextlib
import heapq
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_CHUNK = 1 << 26  # bytes that one collective moves from each process
_TASKS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")


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
        coordinator: the address, host:port, at which process 0 listens and that all others reach. None
            detects the job from the variables of Slurm, Open MPI or a TPU pod.
        num_processes: the size of the job.
        process_id: the number of this process, from 0.

    Returns:
        The processes of the job, to pass to `scan` or `scan_into`.

    Raises:
        ValueError: some of the arguments are given and others are not.
    """
    job = (coordinator, num_processes, process_id)
    if None in job and any(part is not None for part in job):
        raise ValueError("expected a coordinator, num_processes and process_id together, or none")
    if coordinator is not None or _in_a_job():
        # Processes that have exited are detected by their broken connections: at the end no process has
        # to wait longer for them.
        import jax

        jax.distributed.initialize(*job, shutdown_timeout_seconds=10)
        with _stdout_to_stderr():  # gloo prints a line at the first collective
            Processes().union({})
    # A job may have been joined by the caller, but not without JAX, which is not imported to ask.
    return Processes() if "jax" in sys.modules else Processes(0, 1)


def _in_a_job() -> bool:
    if any(int(os.environ.get(name) or 1) > 1 for name in _TASKS):
        return True
    # Every host of a TPU pod has the same library; JAX asks the pod for the rest.
    several = "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")
    return several and importlib.util.find_spec("libtpu") is not None


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


def _padded(data: bytes, size: int) -> np.ndarray:
    padded = np.zeros(size, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded
