"""What figures were measured on."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version


def machine(packages: Iterable[str]) -> dict[str, object]:
    """Processors, Python and the versions of `packages`."""
    found = {"cpus": os.cpu_count(), "cpu": _processor(), "python": platform.python_version()}
    return {**found, **{name: version(name) for name in packages}}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
            return next(names, "").strip() or platform.machine()
    except OSError:
        return platform.machine()
