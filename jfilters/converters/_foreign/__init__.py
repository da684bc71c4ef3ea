"""Formats of weights that are not read, recognized so that their refusal names them and the remedy."""

from ._folders import DISTRIBUTED_SHARDS as DISTRIBUTED_SHARDS
from ._folders import PARTITIONS as PARTITIONS
from ._folders import by_placeholder as by_placeholder
from ._folders import superfluous as superfluous
from ._kind import Kind as Kind
from ._names import promises_weights as promises_weights
from ._recognize import foreign_error as foreign_error
from ._recognize import foreign_part as foreign_part
from ._recognize import is_foreign_folder as is_foreign_folder
from ._recognize import kind_error as kind_error
