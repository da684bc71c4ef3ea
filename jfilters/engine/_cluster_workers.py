"""The workers of a Ray cluster: the resources of their tasks, their environment, and where they run."""

import dataclasses
import functools
import logging
import math
import os
import socket
from typing import Any

from ..errors import CheckpointError
from ._cluster_head import Head
from ._task import Response, run_task


@dataclasses.dataclass(frozen=True)
class Place:
    """The node of Ray, the name of the machine, and the platform of JAX, where a task ran."""

    node: str
    machine: str
    platform: str


def run_on_worker(*arguments: Any) -> tuple[Place, Response | CheckpointError]:
    """Run one task as `run_task` does, and tell where it ran."""
    import jax
    import ray

    response = run_task(*arguments)
    node = ray.get_runtime_context().get_node_id()
    return Place(node, socket.gethostname(), jax.default_backend()), response


class Workers:
    """The resources that each task takes: one CPU, and `num_gpus` GPUs.

    **Raises:** ValueError for a number of GPUs that Ray does not know.
    """

    def __init__(self, ray: Any, num_gpus: int | float = 0):
        if not (0 <= num_gpus <= 1 or (math.isfinite(num_gpus) and num_gpus == int(num_gpus) > 0)):
            raise ValueError(
                f"expected GPUs of a task: a number from 0 to 1, or a whole number; got {num_gpus:g}"
            )
        self._ray, self._num_gpus = ray, num_gpus
        self._on_cpu: set[str] = set()
        self.options = functools.cache(self._options)

    @property
    def needs(self) -> str:
        """The resources of a task in words."""
        return f"a CPU and {self._num_gpus:g} GPU" if self._num_gpus else "a CPU"

    def slots(self, resources: dict[str, float]) -> float:
        """Return how many tasks run at a time on these resources."""
        cpus = resources.get("CPU", 0.0)
        return min(cpus, resources.get("GPU", 0.0) / self._num_gpus) if self._num_gpus else cpus

    def check(self, head: Head) -> None:
        """Raise ValueError if tasks need GPUs, and no node has as many; they would wait forever."""
        if not self._num_gpus:
            return
        most = max((node.get("GPU", 0.0) for node in head.nodes() if node.get("CPU")), default=0.0)
        if not most:
            raise ValueError(
                "no node of the Ray cluster has a GPU; scan without GPUs to use its CPUs"
            )
        if most < self._num_gpus:
            raise ValueError(
                f"expected a node of the Ray cluster with {self._num_gpus:g} GPUs for a task;"
                f" the largest has {most:g}"
            )

    def check_device(self, place: Place) -> None:
        """Warn once about a machine whose JAX does not see the GPU that Ray gave to a task."""
        if self._num_gpus and place.platform == "cpu" and place.machine not in self._on_cpu:
            self._on_cpu.add(place.machine)
            logging.getLogger(__name__).warning(
                "warning: JAX finds no GPU on %s, and computes on its CPU; install jax[cuda12] there",
                place.machine,
            )

    def _options(self, node: str | None) -> dict[str, Any]:
        """The options of a task that runs on a node if it is there and free, else on any."""
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": self._num_gpus}
        options["runtime_env"] = {"env_vars": environment(self._num_gpus)}
        if node is not None:
            options["scheduling_strategy"] = _near(self._ray, node)
        return options


def _near(ray: Any, node: str) -> Any:
    # Without spilling, tasks would wait for a node whose CPUs work for another job.
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    return strategy(node, soft=True, _spill_on_unavailable=True)


def environment(num_gpus: int | float = 0) -> dict[str, str]:
    """The variables of every worker: its device, the numbers of threads, and the limits of this process.

    XLA and BLAS divide sums among threads, so that the last bits of a result depend on their number. A
    worker with as many threads as the scan computes the same bits as the scan.
    """
    device = _GPU | _preallocation() if num_gpus else _CPU
    limits = {name: text for name, text in os.environ.items() if name.startswith("JFILTERS_")}
    return (
        device
        | limits
        | {
            names[0]: next(
                (os.environ[name] for name in names if name in os.environ), str(_cores_here())
            )
            for names in (_XLA_THREADS, _BLAS_THREADS)
        }
    )


def _preallocation() -> dict[str, str]:
    # A worker that takes three quarters of a GPU, JAX's default, leaves too little to the next one.
    return {_PREALLOCATE: os.environ.get(_PREALLOCATE, "false")}


def _cores_here() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_CPU = {"JAX_PLATFORMS": "cpu"}
_GPU = {"JAX_PLATFORMS": ""}  # lets JAX choose, whatever the node has set
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
_XLA_THREADS = ("PJRT_NPROC", "NPROC")
_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # Ray sets the second, to 1
