"""The frameworks: each builds a network of steps with given weights, trains it, and writes it.

The order of images, the first weights, the optimizer and its schedule are the same in all of them.
"""

import importlib

from ._model import Model as Model
from ._model import Plan as Plan

_MODULES = {"linen": "_linen", "nnx": "_nnx", "equinox": "_equinox", "torch": "_torch"}


def model_of(framework: str) -> type[Model]:
    """The class of models of a framework by its name; the framework is imported now."""
    return importlib.import_module(f".{_MODULES[framework]}", __name__).FrameworkModel
