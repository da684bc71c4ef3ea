"""OpenVINO models (IR): a description in XML, and constants in a file beside it."""

from ._format import FORMAT as FORMAT
from ._format import PAIR as PAIR
