"""Checkpoints of any format as one pytree, `Kernels`: found by content, read by range.

The names of `__init__.pyi`, each loaded when it is first used: a checkpoint is opened and read without JAX.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
