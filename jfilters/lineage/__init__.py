"""Kinship of networks from sketches of their layers: families, trees and who came from whom.

Pure NumPy: the room sees arrays and names, and no file.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
