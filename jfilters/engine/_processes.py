"""The same scan in several processes: a TPU pod, a Slurm or Open MPI job, or by hand.

Each process reads its share of the checkpoints on its own devices; what they found, never weights, goes
from each to all through collectives, so that all fit the same basis.
"""

import contextlib
import heapq
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import msgpack
import numpy as np
from jax.experimental import multihost_utils

_CHUNK = 1 << 26  # bytes that one collective moves from each process
_TASKS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")


class LostProcessError(ConnectionError):
    """Another process of the job went away; what it had finished is kept."""

    def __init__(self):
        reason = "another process of this job was lost; run the same command again"
        super().__init__(f"{reason}: checkpoints that were finished are not read again")


class Processes:
    """The processes of a job, seen from one of them; a process by itself is a job of one."""

    def __init__(self):
        self.index, self.count = jax.process_index(), jax.process_count()

    def share(self, sizes: Sequence[int]) -> list[int]:
        """The checkpoints, by index, that this process is to read, given the bytes of all.

        The largest go first, each to the process with the least to do; the same answer everywhere.
        """
        loads = [(0, process) for process in range(self.count)]
        mine = []
        for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
            load, process = heapq.heappop(loads)
            heapq.heappush(loads, (load + sizes[index] + 1, process))
            mine += [index] if process == self.index else []
        return sorted(mine)

    def union(self, mine: dict[int, bytes]) -> dict[int, bytes]:
        """What all processes have, by index. All of them must call it. LostProcessError if one is gone."""
        if self.count == 1:
            return mine
        data = _packed(mine)
        try:
            # Two numbers: a size may not fit into the int32 that JAX moves.
            sizes = _gathered(np.array(divmod(len(data), _CHUNK), np.int32)) @ [_CHUNK, 1]
            parts = [
                _gathered(_padded(data[start : start + _CHUNK], min(sizes.max() - start, _CHUNK)))
                for start in range(0, sizes.max(), _CHUNK)
            ]
        except (ValueError, RuntimeError) as error:
            raise LostProcessError from error
        found: dict[int, bytes] = {}
        for process, size in enumerate(sizes):
            whole = b"".join(part[process].tobytes() for part in parts)
            found |= msgpack.unpackb(whole[:size], strict_map_key=False)
        return found

    def overall_range(self, low: float, high: float) -> tuple[float, float]:
        """The lowest and the highest value of all processes."""
        found = self.union({self.index: _packed((low, high))})
        lows, highs = zip(*map(msgpack.unpackb, found.values()), strict=True)
        return min(lows), max(highs)


def join(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Processes:
    """Join the job that this process is part of, which is detected unless the arguments tell of it.

    `coordinator` is the address, host:port, that process 0 listens on and all others reach.

    Raises ValueError if only some of the arguments are given.
    """
    told = (coordinator, num_processes, process_id)
    if None in told and any(part is not None for part in told):
        raise ValueError("expected a coordinator, num_processes and process_id together, or none")
    if coordinator is not None or _in_a_job():
        # Gone processes are told by broken connections; nobody need wait for those at the end.
        jax.distributed.initialize(*told, shutdown_timeout_seconds=10)
        with _stdout_to_stderr():  # of the first collective, gloo writes a line on its own
            Processes().union({})
    return Processes()


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
    data = msgpack.packb(content)
    assert data is not None  # only a packer that streams gives nothing back
    return data


def _gathered(array: np.ndarray) -> np.ndarray:
    return np.asarray(multihost_utils.process_allgather(array))


def _padded(data: bytes, size: int) -> np.ndarray:
    padded = np.zeros(size, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return padded
