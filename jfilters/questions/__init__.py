"""Questions that a scan answers from its statistics: one file a question, no weights are read again.

Each takes a `Scan` and returns an `Answer`. They run on the host in NumPy float64 and import no JAX.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
