"""Effective weights: the arrays that the network multiplies with, composed of what is stored."""

from ._compose import compose as compose
