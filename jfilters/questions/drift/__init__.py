"""Drift along an axis: groups of layers compared by a metric, with its nulls."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
