"""Learned densities of normalized kernels: their joint shape, where a histogram sees one component."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
