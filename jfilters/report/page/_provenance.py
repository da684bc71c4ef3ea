"""The origin of the numbers: versions, device, config as run, seed and hashes; and checkpoints left out."""

import json
from typing import Any

from ...scans.internal import READ
from ._view import View

MOST_HASHES = 500
"""Checkpoints whose hash is shown; all are in scan.json."""


def provenance_section(view: View) -> dict[str, Any]:
    """Names with values as text, and the hash of every checkpoint that was read."""
    record = view.scan.record
    facts = {
        "scan": str(view.scan.folder),
        **{f"version of {name}": text for name, text in record.get("versions", {}).items()},
        **{f"device {name}": text for name, text in record.get("device", {}).items()},
        "seed": record.get("seed"),
        **{f"config {name}": value for name, value in record["config"].items()},
    }
    read = [entry for entry in record["checkpoints"] if entry.get("status") in READ]
    return {
        "facts": [[name, _text(value)] for name, value in facts.items() if value is not None],
        "hashes": [
            [entry["model"], entry.get("format"), entry.get("bytes"), entry.get("sha256")]
            for entry in read[:MOST_HASHES]
        ],
        "total": len(read),
    }


def refused_section(view: View) -> list[list[str]]:
    """The checkpoints that were not wholly read: model, status and reason, the refused ones first."""
    order = ("refused", "failed", "partial", "empty")
    entries = [entry for entry in view.scan.record["checkpoints"] if entry.get("status") in order]
    entries.sort(key=lambda entry: order.index(entry["status"]))
    return [[entry["model"], entry["status"], entry.get("reason") or ""] for entry in entries]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
