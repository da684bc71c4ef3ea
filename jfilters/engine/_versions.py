"""The versions that the record of a scan holds, and that all processes of a job share."""

import platform
from importlib.metadata import version

_PACKAGES = ("jfilters", "jax", "numpy", "equinox")


def versions() -> dict[str, str]:
    """Return the versions of Python, jfilters and the packages that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
