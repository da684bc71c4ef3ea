"""The statuses of a checkpoint in a scan.

- "ok": every convolution was read.
- "partial": some convolutions were read, but one that the network applies was not.
- "empty": it has no convolution of the chosen size.
- "refused": its content was declined; "failed": it could not be read.
"""

from typing import Literal, get_args

Status = Literal["ok", "partial", "empty", "refused", "failed"]

STATUSES: tuple[Status, ...] = get_args(Status)

READ: tuple[Status, ...] = ("ok", "partial")
"""Statuses of checkpoints whose layers are in the tables."""

FAILURES: tuple[Status, ...] = ("refused", "failed")
"""Statuses of checkpoints of which nothing was read."""

FINDINGS: tuple[Status, ...] = ("partial", *FAILURES)
"""Statuses that make the exit code of a scan 1."""
