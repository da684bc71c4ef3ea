"""Convolution layers while they train: measured at steps, and held by differentiable penalties."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
