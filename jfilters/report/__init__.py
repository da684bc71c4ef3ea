"""What people look at: a scan and an inspection as text for a terminal, and a scan as a page."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
