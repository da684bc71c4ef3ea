"""Checkpoints of which some convolutions cannot be read, whatever makes real ones so."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from jfilters.converters import Skipped, _checkpoint

REASON = "spectral norm without its vectors"


@contextlib.contextmanager
def unread_layers(*names: str) -> Iterator[None]:
    """Let the selection set the weights of these names aside as ones that the network applies."""
    select = _checkpoint.select

    def partly(*arguments):
        selected, skipped = select(*arguments)
        gone = [item for item in selected if item.layer.name in names]
        aside = [Skipped(x.layer.name, x.stored.shape, x.stored.dtype, REASON, True) for x in gone]
        return tuple(item for item in selected if item not in gone), (*skipped, *aside)

    with mock.patch.object(_checkpoint, "select", partly):
        yield
