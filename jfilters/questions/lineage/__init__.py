"""Lineage: families of kin in a scan, and who came from whom."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
