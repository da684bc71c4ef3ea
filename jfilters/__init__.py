"""jfilters: functional analysis of trained convolution kernels, in JAX.

The names below load lazily (SPEC 1), so that nothing imports JAX before it computes.
"""

import lazy_loader as lazy

# Imported first: an import at a later time would put the room in the place of the function of its name.
from . import compare
from ._methods import introduce_methods

del compare
introduce_methods()
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
