"""Bounds on the files beside checkpoints: scans, bundles, tables, rules, options.

They come from other people too. A file may take `LEAST` bytes of memory, or a multiple of its own size
where that is more; what is beyond is refused before it is allocated, in one sentence that names the file.
"""

import dataclasses
import json
import stat
import tomllib
from pathlib import Path
from typing import Any

from ._files import Location
from .errors import CheckpointError, UnreadableError, system_reason
from .io import open_source

LEAST = 1 << 28
"""Bytes that the content of any file may take: with Python and Arrow it stays below 512 MB."""

TIMES_COMPRESSED = 100
"""Bytes a stored one of compressed content. A bundle of real networks takes 25, one of tiny layers 60."""

TIMES_PLAIN = 10
"""Bytes of Python objects a byte of text. A real scan.json or CSV takes 2 to 5."""

MOST_HEADER = 1 << 22
"""Bytes of the header of a safetensors file with a scan, a basis or densities; real ones have 4 kB."""

MOST_TOML = 1 << 23
"""Bytes of a TOML file, which takes a second a megabyte; ten thousand models make 2 MB."""

MOST_DOTS = 1_000
"""Dots in one line of TOML: the time that a dotted key takes grows with their square."""

_INTEGERS = range(-(1 << 63), 1 << 63)
# What Python keeps for an object, a list, and any other value of JSON.
_OBJECT, _LIST, _VALUE = 240, 72, 64


@dataclasses.dataclass
class Allowance:
    """The memory that the content of one file may take; each part draws its share from it.

    - `path`: the file, for messages.
    - `stored`: its bytes.
    - `times`: bytes of memory a stored byte, where that is more than `LEAST`.
    """

    path: Location
    stored: int
    times: int = TIMES_PLAIN
    drawn: int = 0

    @property
    def most(self) -> int:
        """The bytes that all parts may take together."""
        return max(LEAST, self.times * self.stored)

    @property
    def left(self) -> int:
        """The bytes that are not drawn yet."""
        return self.most - self.drawn

    def draw(self, size: int, what: str) -> None:
        """Draw the bytes of a part. Raises CheckpointError, naming it, if fewer are left."""
        self.drawn += size
        if self.drawn > self.most:
            stored, most = f"{self.stored:,} bytes", f"{self.most >> 20:,} MB"
            reason = f"expected content of at most {most} in {stored}, found more in {what}"
            remedy = "it is damaged or made to exhaust memory: get it from its source again"
            raise CheckpointError(reason, path=self.path, remedy=remedy)


def parsed_json(text: bytes, allowance: Allowance, what: str) -> Any:
    """Return the value of a JSON text, after its memory is drawn.

    Raises CheckpointError for too large a text, and ValueError for one that is no JSON or too deep.
    """
    width = 1 if text.isascii() else 4
    counts = (text.count(b"{"), _OBJECT), (text.count(b"["), _LIST), (text.count(b","), _VALUE)
    allowance.draw(len(text) * width + sum(n * size for n, size in counts), what)
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deep") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the content of a TOML file; `what` says in messages which file was expected.

    Raises UnreadableError where it cannot be read, and CheckpointError, with the line, for no TOML, nested
    brackets without end, an integer beyond 64 bits, or a file beyond the bounds above.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_TOML + 1)
    except OSError as error:
        raise UnreadableError(system_reason(error), path=path, remedy=f"name {what}") from error
    if len(data) > MOST_TOML:
        raise CheckpointError(f"expected {what} of at most {MOST_TOML >> 20} MB", path=path)
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.count(b".") > MOST_DOTS:
            reason = f"expected {what} with at most {MOST_DOTS:,} dots a line, found more in line"
            raise CheckpointError(f"{reason} {number}", path=path)
    try:
        content = tomllib.loads(data.decode("utf-8").replace("\r\n", "\n"))
        _check_integers(content)
    except RecursionError as error:
        reason = f"expected {what}, found brackets nested too deep"
        raise CheckpointError(reason, path=path, remedy="nest them less") from error
    except ValueError as error:
        raise CheckpointError(f"expected TOML, got: {error}", path=path) from error
    return content


def check_header(path: Location) -> None:
    """Raise CheckpointError if a safetensors file claims a header that no scan, basis or density has."""
    try:
        size = int.from_bytes(_first_bytes(path, 8), "little")
    except OSError as error:
        reason = f"expected a readable file, got: {system_reason(error)}"
        raise UnreadableError(reason, path=path) from error
    if size > MOST_HEADER:
        reason = f"expected a safetensors file with a header of at most {MOST_HEADER >> 20} MB"
        raise CheckpointError(f"{reason}, found one of {size:,} bytes", path=path)


def file_allowance(path: Location, times: int = TIMES_PLAIN) -> Allowance:
    """Return the allowance of a file. Raises OSError where there is none, and for a folder or a device."""
    if not isinstance(path, Path):
        return Allowance(path, open_source(path).size, times)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise OSError(f"{kind} and no file")
    return Allowance(path, status.st_size, times)


def _first_bytes(path: Location, size: int) -> bytes:
    if not isinstance(path, Path):
        source = open_source(path)
        return bytes(source.read(0, min(size, source.size)))
    with path.open("rb") as file:
        return file.read(size)


def _check_integers(content: object) -> None:
    """Raise ValueError for an integer that TOML does not have: Python would take it, and print it never."""
    values = [content]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
        elif isinstance(value, int) and value not in _INTEGERS:
            raise ValueError("an integer beyond 64 bits")
