"""The registry: a bundle of real networks that ships with jfilters, to place a checkpoint among."""

from importlib import resources
from pathlib import Path

from ..errors import CheckpointError
from ._bundle import open_bundle
from ._scan import Scan

_INSTALLED = Path("registry") / "zoo.bundle"
_IN_SOURCES = Path("results") / "zoo" / "zoo.bundle"


def registry_file() -> Path:
    """The bundle that ships with jfilters: inside the package once installed, among the results before.

    Raises CheckpointError if neither has it.
    """
    package = Path(str(resources.files("jfilters")))
    for path in (package / _INSTALLED, package.parent / _IN_SOURCES):
        if path.is_file():
            return path
    reason = "expected the bundle of real networks that ships with jfilters, found none"
    raise CheckpointError(reason, path=path, remedy="install jfilters again, or run `make zoo`")


def open_registry() -> Scan:
    """Open the scan of real networks that ships with jfilters, without weights and with nothing to fetch.

    Raises CheckpointError if it is not there.

    >>> registry = open_registry()
    >>> len(registry.model_names) > 100, registry.spatial, registry.sketches is not None
    (True, (3, 3), True)
    """
    return open_bundle(registry_file())
