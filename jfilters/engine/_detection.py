"""The job that this process is part of: the launcher tells it, or the caller.

The launchers are read here since that takes no import of JAX where there is no job.
"""

import dataclasses
import os
import re

from ._job import ALONE, Job, Variables, number_of
from ._launchers import mpi, open_mpi, pmix, slurm
from ._tpu_pod import pod

LAUNCHERS = (open_mpi, mpi, slurm, pmix, pod)
"""In the order in which JAX asks them."""


def job_of(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Job:
    """Return the job of this process; the launcher tells what is not given.

    Raises:
        ValueError: variables or arguments that contradict each other, or that lack a part.
    """
    if coordinator is not None and num_processes is not None and process_id is not None:
        return Job("the command line", num_processes, process_id, _address(coordinator))
    job = _detected(os.environ)
    if coordinator is None and num_processes is None and process_id is None:
        return _with_coordinator(job)
    return _completed(job, coordinator, num_processes, process_id)


def _completed(
    job: Job | None, coordinator: str | None, count: int | None, index: int | None
) -> Job:
    """Return the job of some arguments, and of the launcher where they say nothing."""
    if count is None and job is not None:
        count = job.count
    if index is None and job is not None and job.count == count:
        index = job.index
    if index is None and count is not None and "JOB_COMPLETION_INDEX" in os.environ:
        index = number_of(os.environ, "JOB_COMPLETION_INDEX", "Kubernetes")
    coordinator = coordinator or (job and job.coordinator) or _address_of_jax()
    if coordinator is None or count is None or index is None:
        raise ValueError("expected a coordinator, num_processes and process_id together, or none")
    launcher = job.launcher if job else "the command line"
    return Job(launcher, count, index, _address(coordinator), job and job.device)


def _with_coordinator(job: Job | None) -> Job:
    if job is None or job.count == 1:
        return job or ALONE
    coordinator = _address_of_jax() or job.coordinator
    if coordinator is None:
        reason = f"{job.launcher} tells of {job.count} processes, but not where process 0 listens"
        raise ValueError(f"{reason}: give --coordinator HOST:PORT, a port of its machine")
    return dataclasses.replace(job, coordinator=coordinator)


def _detected(variables: Variables) -> Job | None:
    jobs = (launcher(variables) for launcher in LAUNCHERS)
    return next((job for job in jobs if job is not None), None)


def _address_of_jax() -> str | None:
    return os.environ.get("JAX_COORDINATOR_ADDRESS")


def _address(text: str) -> str:
    if re.fullmatch(r"(\[[^\]]+\]|[^:\[\]/\s]+):\d{1,5}", text) is None:
        raise ValueError(f"expected the coordinator as HOST:PORT, got {text!r}")
    return text
