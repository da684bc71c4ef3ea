"""The table of labels that lies beside the networks, to be joined to a scan of them."""

import csv
import io
from pathlib import Path

from . import _entries

METADATA = (
    *("task", "dataset", "visual_category", "architecture", "license", "package"),
    *("source", "family", "twin_of"),
)
"""The columns of metadata.csv after the name of the model."""


def metadata(to: Path) -> bytes:
    """Return metadata.csv of those networks whose files are all in the folder `to`."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("model", *METADATA))
    for entry in _entries.entries():
        if all((to / place).is_file() for place in entry.places):
            writer.writerow((entry.name, *(getattr(entry, column) for column in METADATA)))
    return table.getvalue().encode()
