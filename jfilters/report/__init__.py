"""Answers as people look at them: text for a terminal, one page to open in a browser, and figures."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
