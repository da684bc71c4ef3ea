"""Arrays to numbers: pure functions on kernels that jit, vmap and differentiate.

They take rows (n, d), a weight (out, in, *spatial), or `Kernels`, and give one value a layer. A mask
`where` marks the kernels that count, as in `jnp.mean`. Kernels are raw, as stored, except where a
function asks for normalized ones.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
