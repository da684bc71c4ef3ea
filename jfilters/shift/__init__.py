"""Comparisons of kernel sets through the histograms of their coefficients.

Everything here runs on the host, in float64 where NumPy arrays come in: histograms are small.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
