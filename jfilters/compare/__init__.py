"""Two checkpoints compared by their weights: matched layers, differences, and their relationship."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
