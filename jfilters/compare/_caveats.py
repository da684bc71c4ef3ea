"""Other histories that explain the same numbers, which a verdict names beside its own."""

WEAK = 0.1
"""Kinship r below which networks are weakly alike: two bases of one recipe reach it, of which neither was
made from the other."""

ONE_START = (
    "caveat: two trainings from one initialization, or from one base, look the same; "
    "neither need come from the other"
)

RELATIVE = "caveat: it may also have been made from a relative of the other, which looks the same"

WIDENED = (
    "caveat: the wider network may as well have been made from the narrower one, by adding channels"
)

COMPACTED = (
    "caveat: the narrower network may as well have been cut from the wider one, whose further channels "
    "do nothing of their own"
)
