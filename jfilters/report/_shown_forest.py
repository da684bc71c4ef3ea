"""The forest of a scan for a page or a figure: with the weights of kin only where reading them is cheap."""

from collections.abc import Sequence
from pathlib import Path

from ..questions import Forest, find_lineage
from ..scans import Scan
from ..scans.internal import READ

MOST_READ = 64
"""Models in families whose weights are read: each takes up to a fifth of a second."""

MOST_BYTES = 1 << 30
"""Bytes of all checkpoints up to which weights are read: strangers of one architecture are read too."""

FROM_WEIGHTS = "Relations are from the weights of kin."
FROM_SKETCHES = "Relations are from the sketches in the scan alone, so that most are unknown"


def shown_forest(
    scan: Scan, *, most_read: int | None = None, most_bytes: int | None = None
) -> tuple[Forest, str]:
    """Return the forest of a scan, and a sentence on what its relations are from.

    Weights are read if at most `most_read` models are in families, and the checkpoints lie on this machine
    with at most `most_bytes` in all.

    Raises:
        ValueError: a scan of an earlier version has no sketches, or has more models than are compared.
    """
    forest = find_lineage(scan, weights=False)
    most_read = MOST_READ if most_read is None else most_read
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    reason = _obstacle(scan, forest, most_read, most_bytes)
    if reason:
        return forest, f"{FROM_SKETCHES}: {reason}."
    return find_lineage(scan), FROM_WEIGHTS


def _obstacle(scan: Scan, forest: Forest, most_read: int, most_bytes: int) -> str:
    """Return the reason for not reading weights; empty if they are cheap to read."""
    related = sum(len(family.models) for family in forest.families)
    if related > most_read:
        return f"{related:,} models in families are too many to read for this"
    entries = [entry for entry in scan.record["checkpoints"] if entry.get("status") in READ]
    if not _is_here([str(entry.get("path") or "") for entry in entries]):
        return "the checkpoints are not where they were scanned"
    total = sum(entry.get("bytes") or 0 for entry in entries)
    if total > most_bytes:
        return f"the checkpoints take {total / (1 << 30):.1f} GiB, too much to read for this"
    return ""


def _is_here(paths: Sequence[str]) -> bool:
    """Return True if no path is a URL and one leads to something; the models of the others are counted."""
    if any("://" in path for path in paths):
        return False
    return any(path and Path(path).exists() for path in paths)
