"""torch without torch: zip, legacy and TorchScript files as data, and live modules."""

from ._format import FORMAT as FORMAT
