"""The record of a format: how it is recognized, how its arrays are listed, what it needs."""

import dataclasses
from collections.abc import Callable, Sequence

from ..io import Location
from ..layers import DepthSource
from ._stored import StoredArray


@dataclasses.dataclass(frozen=True)
class Format:
    """One way in which checkpoints are stored.

    - `name`, `reads`, `suffixes`: its name, a line on what it reads, and the usual suffixes, for people to
      read.
    - `recognizes(path, head)`: whether the content is of this format; `head` holds the first 512 bytes,
      none for a folder. It never raises and never trusts the suffix.
    - `arrays(path)`: every stored array, in the order of storage, none of them read yet.
    - `order`: the meaning of that order for depth, where neither a graph nor the arrays themselves say it.
    - `extra`: the extra of jfilters that installs what the reader needs, None where the core suffices.

    >>> from jfilters.converters import FORMATS
    >>> FORMATS["numpy"].name, FORMATS["keras"].extra
    ('numpy', 'keras')
    """

    name: str
    reads: str
    suffixes: tuple[str, ...]
    recognizes: Callable[[Location, bytes], bool]
    arrays: Callable[[Location], Sequence[StoredArray]]
    order: DepthSource = "name-order"
    extra: str | None = None
