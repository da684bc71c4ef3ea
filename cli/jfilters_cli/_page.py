"""A page in the browser, or its path where there is none to open it in."""

import os
import sys
from pathlib import Path

from ._console import talk
from ._places import Location


def open_page(path: Location) -> None:
    """Open a page in the browser; over SSH and without a display print its path to open elsewhere."""
    import webbrowser

    page = path.resolve() if isinstance(path, Path) else path
    if _has_display() and webbrowser.open(page.as_uri() if isinstance(page, Path) else str(page)):
        return
    talk(f"no browser here; open this file in one: {page}")


def _has_display() -> bool:
    if any(name in os.environ for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
        return False
    is_local = sys.platform in ("darwin", "win32")
    return is_local or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))
