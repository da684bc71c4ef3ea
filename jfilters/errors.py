"""Exceptions for checkpoints that cannot be read, which name the file, the tensor and the remedy.

Everything a reader raises on purpose is a `CheckpointError`. Its `status` is the label that a scan writes
beside the checkpoint: "refused" when its content was declined, "failed" when it could not be read.
"""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@'\"]*@", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?#'\"]*)[?#][^\s'\"]*", re.IGNORECASE)


class CheckpointError(ValueError):
    """A checkpoint that cannot be read right.

    **Arguments:**

    - `reason`: the expectation and what came instead, in one sentence without the final period.
    - `path`: the file or folder.
    - `tensor`: the stored array at fault, if it is one.
    - `remedy`: what the reader of the message can do about it.

    >>> import jfilters as jf
    >>> try:
    ...     jf.load("missing.safetensors")
    ... except jf.CheckpointError as error:
    ...     print(type(error).__name__, error.path, error.status)
    UnreadableError missing.safetensors failed
    """

    status = "refused"

    def __init__(
        self,
        reason: str,
        *,
        path: object = "",
        tensor: str | None = None,
        remedy: str | None = None,
    ):
        self.reason, self.path = redacted(reason), redacted(str(path))
        self.tensor, self.remedy = tensor, remedy
        where = ": ".join(printable(part) for part in (self.path, tensor) if part)
        text = f"{where}: {self.reason}" if where else self.reason
        super().__init__(f"{text}; {remedy}" if remedy else text)

    def __reduce__(self) -> tuple:
        """Pickle by what was given: keyword-only arguments do not survive the default."""
        return _rebuild, (type(self), self.reason, self.path, self.tensor, self.remedy)


class UnknownFormatError(CheckpointError):
    """Neither the content nor the layout of a path is that of a format of weights; a scan ignores it."""


class ForeignFormatError(CheckpointError):
    """Trained weights in a format that is recognized and not read; the remedy says how to convert them."""


class UnreadableError(CheckpointError):
    """The operating system or the network did not hand over the bytes."""

    status = "failed"


class MissingExtraError(CheckpointError):
    """Error for an optional package that is needed and is not installed.

    The message names the package and the command that installs it with the matching extra of jfilters. It
    is a `CheckpointError`, so that a scan records it beside the checkpoint and goes on.

    - `package`: the package that could not be imported.
    - `extra`: the extra of jfilters that brings it.
    - `path`: the file that needs it, if there is one.
    """

    def __init__(self, package: str, extra: str, *, path: object = ""):
        self.package, self.extra = package, extra
        remedy = f"install it with: {install_command(extra)}, in the clone of jfilters"
        super().__init__(f"this needs the package {package}", path=path, remedy=remedy)

    def __reduce__(self) -> tuple:
        """Pickle by what was given."""
        return _rebuild_missing, (self.package, self.extra, self.path)


def install_command(extra: str) -> str:
    """The command that installs an extra from a clone; no registry of packages has jfilters."""
    return f"pip install '.[{extra}]'"


def did_you_mean(value: object, choices: Iterable[object]) -> str:
    """Return "; did you mean task?" for the choice that is nearest to a value, and "" where none is near.

    Every refusal of a name goes through here. Near are the same letters in another case, a few wrong ones,
    and a name that the value is a part of, such as a model without its folder or suffix.
    """
    near = nearest_choice(value, choices)
    return "" if near is None else f"; did you mean {near}?"


def nearest_choice(value: object, choices: Iterable[object]) -> str | None:
    """Return the choice that is nearest to a value; None where none is near."""
    names = {str(choice).casefold(): str(choice) for choice in choices}
    text = str(value).casefold()
    close = difflib.get_close_matches(text, names, 1)
    parts = [name for name in names if len(text) >= _FEWEST and text in name]
    near = [text] if text in names else close or parts[:1]
    return printable(names[near[0]]) if near else None


def unknown_choice(noun: str, value: object, choices: Iterable[object], *, rest: str = "") -> str:
    """Return the sentence that refuses a value which is none of the choices.

    Args:
        noun: the kind of value, with its article, such as "an axis".
        value: what came instead.
        choices: what there is; all are looked through for the nearest, and the first ones are named.
        rest: a further remedy.
    """
    names = [str(choice) for choice in choices]
    more = f" and {len(names) - MOST_CHOICES:,} more" if len(names) > MOST_CHOICES else ""
    listed = ", ".join(map(printable, names[:MOST_CHOICES])) + more
    text = f"expected {noun}, one of {listed or 'none'}; got {str(value)!r}"
    return f"{text}{did_you_mean(value, names)}{f'; {rest}' if rest else ''}"


MOST_CHOICES = 16
"""Choices that a refusal names."""

_FEWEST = 3
"""Letters of a value that are looked for inside of names."""


def system_reason(error: OSError) -> str:
    """Return the reason of an error of the operating system, without its number and temporary names."""
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        return missing_reason(Path(error.filename))
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def missing_reason(path: Path) -> str:
    """Return what is missing of a path, the file or a folder above it, and what was meant."""
    first = next((part for part in reversed(path.parents) if not part.exists()), path)
    what = (
        "no such file or folder" if first == path else f"no such folder as {printable(str(first))}"
    )
    names = os.listdir(first.parent) if os.access(first.parent, os.R_OK | os.X_OK) else []
    return what + did_you_mean(first.name, names)


def printable(text: str) -> str:
    """Escape control characters and undecodable bytes in `text`, so that a name cannot fake a line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii")
        for c in text
    )


def redacted(text: str) -> str:
    """Return `text` with its URLs cleared of secrets: user and password, and a web query."""
    text = _USER.sub(r"\1", text)
    return _QUERY.sub(r"\1", text)


def _rebuild(cls, reason, path, tensor, remedy):
    return cls(reason, path=path, tensor=tensor, remedy=remedy)


def _rebuild_missing(package, extra, path):
    return MissingExtraError(package, extra, path=path)
