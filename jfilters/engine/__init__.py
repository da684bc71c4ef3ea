"""The scan: plans, streams blocks through the passes and fills a `Scan`; no mathematics of its own."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
