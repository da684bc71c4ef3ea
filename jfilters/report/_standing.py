"""The layers of a checkpoint among those of many networks, for a terminal of 80 columns."""

from collections.abc import Iterator, Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.text import Text

from ..questions import LayerStanding, LayerStandings
from ..questions.internal import ALIKE_FACTOR, FEWEST_ALIKE
from ._cells import count, number, plain_table

_HEADINGS = {"sparsity": "S", "variance_entropy": "H", "orthogonality": "O"}
_WORDS = {
    "variance_entropy": "more variance entropy than",
    "orthogonality": "more orthogonal than",
}


def standings_text(standings: LayerStandings, *, most: int | None = None) -> RenderableType:
    """Return the layers with the share of reference layers below each in S, H and O.

    With `most` only that many layers of each query are shown, those with the most extreme shares.
    """
    parts: list[RenderableType] = []
    for query in dict.fromkeys(layer.query for layer in standings.layers):
        layers = [layer for layer in standings.layers if layer.query == query]
        parts += [Text(line) for line in _sentences(query, layers)]
        parts += [_table(_extreme(layers, most)), ""]
    return Group(*parts, Text(_LEGEND, "dim"))


_LEGEND = (
    "S sparsity, H variance entropy, O orthogonality; above: the share of real layers with less. S: of all "
    "layers. H, O: of layers of the same kind (one input a channel, or several) within a factor of "
    f"{ALIKE_FACTOR} in kernels or, for O, in weights a channel; of all of the kind where these are fewer "
    f"than {FEWEST_ALIKE}. Kin are left out"
)


def _sentences(query: str, layers: Sequence[LayerStanding]) -> Iterator[str]:
    """Return what is said of the sparsest layer, and of the layer in the middle."""
    ranked = [layer for layer in layers if layer.numbers["sparsity"].above is not None]
    if not ranked:
        yield f"{query}: no layer has numbers to compare"
        return
    top = max(ranked, key=lambda layer: layer.numbers["sparsity"].above or 0)
    sparsity = top.numbers["sparsity"]
    if sparsity.value:
        share, reference = _percent(sparsity.above), count(sparsity.layers)
        yield f"{query}: {top.layer} is sparser than {share} of {reference} real layers"
    else:
        yield f"{query}: no layer has sparse kernels"
    if middle := list(_medians(layers)):
        yield f"its layer in the middle, among those like it: {', '.join(middle)}"


def _medians(layers: Sequence[LayerStanding]) -> Iterator[str]:
    for name, words in _WORDS.items():
        shares = [x for layer in layers if (x := layer.numbers[name].above) is not None]
        if shares:
            yield f"{words} {_percent(median(shares))}"


def _extreme(layers: Sequence[LayerStanding], most: int | None) -> list[LayerStanding]:
    """Return the most extreme layers, in the order of depth."""
    if most is None or len(layers) <= most:
        return list(layers)
    order = sorted(range(len(layers)), key=lambda i: (-layers[i].extremity, i))
    return [layers[i] for i in sorted(order[:most])]


def _table(layers: Sequence[LayerStanding]) -> RenderableType:
    table = plain_table()
    table.add_column("layer", overflow="fold", ratio=1)
    table.add_column("kernels", justify="right", no_wrap=True)
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("above", justify="right", no_wrap=True)
    for layer in layers:
        cells = [
            cell
            for name in _HEADINGS
            for cell in (number(layer.numbers[name].value, 3), _percent(layer.numbers[name].above))
        ]
        table.add_row(Text(layer.layer), count(layer.n_kernels), *cells)
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
