"""Pages for a terminal as plain text."""

import io

from rich.console import Console


def shown(renderable, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()
