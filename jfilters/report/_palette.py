"""The colors of the page and of figures: one palette, distinct for every kind of color vision."""

from typing import NamedTuple

BLUE, RED, FAINT = "#2166ac", "#d6604d", "#b0b0b0"
"""The two ends of `DIVERGING`, and gray for what counts less."""

SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
"""Maps that are even to the eye; the second is for signed values and white at 0."""


class Shades(NamedTuple):
    """A color on a light and on a dark ground, each with a contrast of 3 or more to it."""

    light: str
    dark: str


CLASS_SHADES = {
    "good": Shades("#5b8aa0", "#6f9db3"),
    "look": Shades("#b87400", "#f0ad3d"),
    "bad": Shades("#a8201a", "#ff7b6b"),
    "none": Shades("#7d878d", "#87929a"),
}
"""Colors of the classes of verdicts. Signs and the heights of bars say the same."""

VERDICT_COLORS = {
    "healthy": "#5b8aa0",
    "too-few-kernels": "#9aa0a3",
    "low-diversity": "#e2b04a",
    "sparse": "#b87400",
    "random-like": "#e07a5f",
    "collapsed": "#c0392b",
    "all-zero": "#8b1e3f",
    "non-finite": "#7b3294",
}
"""Shades of the color of their class; in charts each verdict has a shape of its own."""

FAMILY_COLORS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#7b5ea7",
    "#8a7f00",
)
"""Of the largest families, after Okabe and Ito; a family has a number too."""
