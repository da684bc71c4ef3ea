"""torch without torch: zip, legacy and TorchScript files as data, and live modules."""

from ._format import FORMAT as FORMAT
from ._modules import from_module as from_module
