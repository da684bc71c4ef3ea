"""Darknet models: weights without names, and the configuration of the network that says whose they are."""

from ._format import FORMAT as FORMAT
from ._format import described as described
