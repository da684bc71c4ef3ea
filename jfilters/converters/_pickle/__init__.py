"""An inert pickle machine: it builds data and placeholders, imports nothing and calls nothing."""

from ._inert import Global as Global
from ._inert import Inert as Inert
from ._inert import Mapping as Mapping
from ._inert import MemorySource as MemorySource
from ._inert import Span as Span
from ._machine import MAX_OPCODES as MAX_OPCODES
from ._machine import unpickle as unpickle
