"""The error for a file that changes while it is read."""

from ..errors import UnreadableError


def changed(path: object) -> UnreadableError:
    """Return the error for a file of which a second version was met: the first and it would be mixed."""
    remedy = "read it again when nobody writes it any more"
    return UnreadableError("it changed while it was read", path=path, remedy=remedy)
