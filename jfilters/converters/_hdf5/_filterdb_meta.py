"""The rows of the table of a Filter DB as layers: their network, their depth, their shape.

Columns that the published files do not have, but those that jfilters exports do, make a layer what it was
in its checkpoint: its name, its channels and groups, and what its depth was read from.
"""

import math
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import printable
from ...layers import DepthSource, Layer
from .._depth import relative_depth
from .._names import LONGEST_NAME, Distinct
from .._stored import Metadata

if TYPE_CHECKING:
    import pyarrow

_NETWORK = ("model", "model_id", "Name")
_LAYER = {"filter_ids", "layer", "conv_depth", "conv_depth_norm", "depth_source"}
_LAYER |= {"out_channels", "in_channels", "groups"}
_LARGEST = 2**31


class Rows:
    """The rows of a table, each a layer. Networks go by the first column of `_NETWORK` that is there."""

    def __init__(self, table: "pyarrow.Table"):
        self._columns: dict[str, list] = {
            name: table[name].to_pylist() for name in table.column_names
        }
        self._count = table.num_rows
        self._network = [name for name in _NETWORK if name in self._columns]
        self._rest = self._columns.keys() - _LAYER - {*self._network[:1]}

    def networks(self) -> dict[str, list[int]]:
        """The rows of every network by its name; one without a name where no column gives any."""
        keys, distinct = self._keys(), Distinct()
        names = {key: distinct(printable(key)[:LONGEST_NAME]) for key in dict.fromkeys(keys) if key}
        networks: dict[str, list[int]] = {}
        for row, key in enumerate(keys):
            networks.setdefault(names.get(key, ""), []).append(row)
        return networks

    def layers(self, rows: Sequence[int], counts: Sequence[int], dtype: str) -> list[Layer]:
        """The layers of one network; `counts` are the kernels of each."""
        distinct = Distinct()
        return [
            Layer(
                name=distinct(self._name(row)),
                depth=depth,
                relative_depth=relative,
                depth_source=source,
                groups=self.channels(row, count)[2],
                dtype=dtype,
            )
            for row, count, (depth, relative, source) in zip(
                rows, counts, self._depths(rows), strict=True
            )
        ]

    def channels(self, row: int, count: int) -> tuple[int, int, int | None]:
        """Output channels, input channels of a group, and groups of a layer of `count` kernels.

        The groups are None where the table leaves them open. Where it does not tell the channels, all
        kernels count as those of one output channel: nothing is said then that depends on which of them
        belong together.
        """
        names = ("out_channels", "in_channels", "groups")
        out, inner, groups = (int(self._number(name, row) or 0) for name in names)
        if groups and out % groups == inner % groups == 0 and out * inner == count * groups:
            return out, inner // groups, groups
        # A scan that could not tell the groups leaves them and the input channels out.
        if out and not inner and not groups and count % out == 0:
            return out, count // out, None
        return 1, count, 1

    def metadata(self, row: int) -> Metadata:
        """The columns that neither name the network nor went into the layer."""
        return {
            name: _plain(column[row])
            for name, column in self._columns.items()
            if name in self._rest
        }

    def _keys(self) -> list[str]:
        if not self._network:
            return [""] * self._count
        columns = zip(*(self._columns[name] for name in self._network), strict=True)
        return [
            next((str(x) for x in cells if x not in (None, "")), "unnamed") for cells in columns
        ]

    def _name(self, row: int) -> str:
        name = self._cell("layer", row)
        return name if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME else f"layer{row}"

    def _depths(self, rows: Sequence[int]) -> list[tuple[int, float, DepthSource]]:
        """Depth, relative depth and what they were read from; the order of rows where no column tells."""
        depths, scaled = (self._numbers(name, rows) for name in ("conv_depth", "conv_depth_norm"))
        if not depths:
            last = len(rows) - 1
            return [(i, relative_depth(i, last), "registration-order") for i in range(len(rows))]
        if not scaled or max(scaled) > 1:
            scaled = [depth / (max(depths) or 1) for depth in depths]
        return [
            (int(depth), float(relative), self._source(row))
            for row, depth, relative in zip(rows, depths, scaled, strict=True)
        ]

    def _source(self, row: int) -> DepthSource:
        # Those who made the data set took depths from graphs.
        source = self._cell("depth_source", row)
        return source if source in typing.get_args(DepthSource) else "graph"

    def _numbers(self, name: str, rows: Sequence[int]) -> list[int | float] | None:
        """The numbers of a column; None if one of them is missing."""
        cells = [self._number(name, row) for row in rows]
        numbers = [number for number in cells if number is not None]
        return numbers if len(numbers) == len(cells) else None

    def _number(self, name: str, row: int) -> int | float | None:
        """A number that is neither negative nor beyond any network."""
        value = self._cell(name, row)
        return value if isinstance(value, int | float) and 0 <= value < _LARGEST else None

    def _cell(self, name: str, row: int) -> Any:
        return self._columns[name][row] if name in self._columns else None


def _plain(value: Any) -> str | int | float | None:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
