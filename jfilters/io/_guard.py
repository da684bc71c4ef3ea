"""The one door through which errors of parsers leave: callers see `CheckpointError` alone."""

import contextlib
from collections.abc import Iterator

from ..errors import CheckpointError, UnreadableError
from ._location import Location


@contextlib.contextmanager
def checkpoint_errors(path: Location, tensor: str | None = None) -> Iterator[None]:
    """Turn what a parser trips over in hostile bytes into an error that names the path."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableError(reason, path=path, tensor=tensor) from error
    # Deliberately broad: parsers of damaged bytes raise whatever their libraries raise.
    except Exception as error:
        reason = f"damaged or unsupported content ({type(error).__name__}: {str(error)[:200]})"
        raise CheckpointError(reason, path=path, tensor=tensor) from error
