"""A job of several processes, seen from one of them, and the variables that tell of it."""

import dataclasses
from collections.abc import Mapping

Variables = Mapping[str, str]

_PORTS = 1 << 12
"""Ports above 61439, among which the number of a job chooses, as in JAX."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job, seen from one of its processes.

    Args:
        launcher: the name of what started it, for messages.
        count: its processes.
        index: the number of this process, from 0.
        coordinator: host:port at which process 0 listens; None where the launcher does not tell.
        device: the number of the only GPU that this process uses; None for all of its machine.
        unit: the plural of what runs one process.

    Raises:
        ValueError: there is no such process in a job of this size.
    """

    launcher: str
    count: int
    index: int
    coordinator: str | None = None
    device: int | None = None
    unit: str = "processes"

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            reason = f"{self.launcher} tells of process {self.index} in a job of {self.count}"
            raise ValueError(
                f"{reason}: processes have the numbers from 0 to one less than the size"
            )

    def __str__(self) -> str:
        unit = self.unit if self.count > 1 else {"hosts": "host"}.get(self.unit, "process")
        return f"{self.launcher}, {self.count} {unit}"


ALONE = Job("no launcher", 1, 0)


def port_of(variables: Variables, number: int) -> str:
    """Return the port of process 0 in the job with this number."""
    return variables.get("JAX_COORDINATOR_PORT") or str(number % _PORTS + 65536 - _PORTS)


def number_of(variables: Variables, name: str, launcher: str, default: int | None = None) -> int:
    """Return the number that a variable holds. Raises ValueError if it holds none, or is not set."""
    text = variables.get(name)
    if text is None and default is not None:
        return default
    if text is None or not text.isdecimal():
        state = "is not set" if text is None else f"is {text!r}, no number"
        remedy = "mend it, or give --coordinator, --num-processes and --process-id"
        raise ValueError(f"{launcher} tells of a job, but {name} {state}: {remedy}")
    return int(text)
