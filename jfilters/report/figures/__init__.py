"""Figures for papers: each a function of a scan that draws on the caller's axes, or on new ones."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
