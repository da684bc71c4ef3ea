"""What the documentation shows of commands: read out of the pages, run, and compared with what they print.

A block `console` holds commands after `$ `, and below each what it prints. `...` stands for anything. Where
only commands are shown, they run and nothing is compared.
"""

import dataclasses
import doctest
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_COMPARED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
COLUMNS = 80


@dataclasses.dataclass(frozen=True)
class Shown:
    """A command line and what the page shows of its output; `line` is its place in the page."""

    command: str
    output: str
    line: int

    def run(self, folder: Path) -> str:
        """Return what the command prints in a folder, in a terminal of 80 columns without color."""
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        settings = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "PATH": binaries}
        done = subprocess.run(
            ["bash", "-c", self.command],
            cwd=folder,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        return done.stdout

    def is_printed_in(self, text: str) -> bool:
        """True if the text is what the page shows, where `...` stands for anything."""
        return doctest.OutputChecker().check_output(self.output, text, _COMPARED)


def shown(page: Path) -> Iterator[Shown]:
    """Yield every command of a page in order."""
    text = page.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        for part in re.split(r"^(?=\$ )", textwrap.dedent(block[2]), flags=re.MULTILINE):
            if part.startswith("$ "):
                command, output = _divided(part)
                yield Shown(command, output, line)
            line += part.count("\n")


def _divided(part: str) -> tuple[str, str]:
    """The command, which goes on after a backslash at the end of a line, and its output."""
    lines = part[2:].splitlines(keepends=True)
    last = next(i for i, line in enumerate(lines) if not line.rstrip().endswith("\\"))
    return "".join(lines[: last + 1]).strip(), "".join(lines[last + 1 :])
