"""Failures of writing, each as one sentence: the place, the reason of the system, and what to do."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from ..errors import CheckpointError, printable, redacted

_REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "your quota is used up: remove files, or write to another disk",
    errno.EROFS: "write to another place",
    errno.EIO: "the disk or its connection fails: write to another one",
    errno.EFBIG: "the limit of a file's size is reached: raise it (ulimit -f), or write elsewhere",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EPERM: "check its permissions, or choose another place",
    errno.ENOTDIR: "a part of this path is a file: choose another place",
    errno.EEXIST: "something else has this name: remove it, or choose another place",
    errno.EISDIR: "this is a folder: name a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "this is a link, which is not followed: remove it",
    errno.ESTALE: "the network disk has lost this file: mount it again",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}

_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)

# Libraries of other languages keep the number of an error in their text alone.
_IN_TEXT = re.compile(r"(?:os error |errno = |\[errno |errno )(\d+)", re.IGNORECASE)


def sentence(error: OSError) -> str:
    """Return an error of the operating system in one line: the place, the reason, and what to do."""
    reason = " ".join(str(error.strerror or error).split())
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if not place:
        return _with_remedy(reason, error.errno)
    place = printable(redacted(place))
    if "://" in place or type(error) is not type(OSError(error.errno, "")):
        return f"{place}: {reason}"
    return f"{place}: {_with_remedy(_lower(reason), error.errno)}"


@contextlib.contextmanager
def write_errors(path: object, temporary: object = None) -> Iterator[None]:
    """Raise an OSError with the number of the system's error and this path, for whatever writers raise.

    Errors about another file, and those of checkpoints that are read on the way, pass as they are.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        number = _number(error, (str(path), str(temporary)))
        if number is None and not isinstance(error, OSError):
            number = _hidden_number(error, (str(path), str(temporary)))
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _number(error: Exception, places: tuple[str, ...]) -> int | None:
    """The number of the system's error, None for an error about anything else."""
    if isinstance(error, OSError):
        if isinstance(error.filename, str | bytes) and os.fsdecode(error.filename) not in places:
            return None
        if error.errno is not None:
            return error.errno
    elif not isinstance(error, RuntimeError) and type(error).__name__ != "SafetensorError":
        return None
    match = _IN_TEXT.search(str(error))
    return int(match[1]) if match else None


def _hidden_number(error: BaseException, places: tuple[str, ...]) -> int | None:
    """The number of a failed write that a library met with a mistake of its own while it closed a file."""
    cause = error.__context__
    while cause is not None:
        if isinstance(cause, OSError) and (number := _number(cause, places)) in _WRITING:
            return number
        cause = cause.__context__
    return None


def _with_remedy(reason: str, number: int | None) -> str:
    remedy = _REMEDIES.get(number or 0)
    return f"{reason}; {remedy}" if remedy and ";" not in reason else reason


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
