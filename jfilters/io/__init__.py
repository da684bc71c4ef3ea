"""Bytes to structures: byte ranges here or remote, zip, npy, pickles, msgpack, protobuf, JSON, HDF5.

Nothing here knows what a convolution is. All content is of unknown origin: it is read within bounds, and
nothing in it is executed.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
