"""jfilters: functional analysis of trained convolution kernels, in JAX.

The names below load lazily (SPEC 1), so that nothing imports JAX before it computes.
"""

from importlib import import_module

import lazy_loader as lazy

# Imported first: an import at a later time would put the room in the place of the function of its name.
from . import compare
from ._methods import introduce_methods

del compare
introduce_methods()

ROOMS = ("converters", "engine", "io", "lineage", "questions", "report", "zoo")
"""Rooms whose functions are on the face, or methods of a scan: `jf.engine` works, `dir` is without it."""

_attribute, __dir__, __all__ = lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Return a name of the face, or a room, imported when it is first asked for."""
    return import_module(f"{__name__}.{name}") if name in ROOMS else _attribute(name)
