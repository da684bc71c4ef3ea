"""Keras files and the CNN Filter DB, behind guards on what the HDF5 library is shown."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
