"""Limits of what fits a page: a figure of more groups is an error, so that none is left out silently."""

from ...scans import Groups

MOST_ROWS = 40
"""Groups with a row of their own in one figure."""


def few_enough(groups: Groups) -> None:
    """Raise ValueError for no group, or more than fit a page."""
    count = len(groups.groups)
    if not count:
        raise ValueError(f"expected a label on {groups.by}, found none; ask for another axis")
    if count > MOST_ROWS:
        raise ValueError(
            f"expected at most {MOST_ROWS} groups along {groups.by} in one figure, found {count}; ask for "
            "another axis, or narrow the question with a condition on the layers"
        )
