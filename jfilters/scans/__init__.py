"""The record of a scan: schema, reading, writing, bundles, merging, selection, groups and metadata.

Nothing here imports JAX: an answer from a written scan needs no compiler.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
