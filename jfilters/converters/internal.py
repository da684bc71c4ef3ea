"""Names of this room that other rooms need and users do not, listed in `internal.pyi`, loaded when used."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__.rpartition(".")[0], __file__)
