"""The page of a scan: one self-contained HTML file to look at, on any screen and without a network."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
