"""Arrays to numbers: pure functions on kernel sets (n, d) that jit, vmap and differentiate.

A mask `valid` marks the kernels that count, so that padding is invisible. Kernels are raw, as
stored, except where a function asks for normalized ones.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
