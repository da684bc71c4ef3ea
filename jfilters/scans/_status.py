"""The words for what became of a checkpoint in a scan, and what each of them means for the others.

- "ok": every convolution was read.
- "partial": some of them, and a convolution that the network applies could not be read.
- "empty": it has no convolution of the chosen size.
- "refused": its content was declined; "failed": it could not be read.
"""

from typing import Literal, get_args

Status = Literal["ok", "partial", "empty", "refused", "failed"]

STATUSES: tuple[Status, ...] = get_args(Status)

READ: tuple[Status, ...] = ("ok", "partial")
"""Checkpoints whose layers are in the tables, and count everywhere."""

LOST: tuple[Status, ...] = ("refused", "failed")
"""Checkpoints of which nothing was read."""

FINDINGS: tuple[Status, ...] = ("partial", *LOST)
"""Checkpoints that make the exit code of a scan 1."""
