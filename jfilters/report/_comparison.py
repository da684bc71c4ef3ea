"""Comparisons of checkpoints for a terminal: the verdicts with their evidence, and a table of layers."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..compare import Comparison, MatchedLayer, Relation, Side
from ._cells import number, plain_table, quantity, verdict
from ._named_table import Sentences

LARGEST_MATRIX = 4  # checkpoints; the verdicts of more are a list

_STYLES = {
    **dict.fromkeys(("unrelated", "trained apart"), "dim"),
    **dict.fromkeys(("identical", "re-saved", "rescaled per channel"), "green"),
    "weakly alike": "dim",
}
_MADE = {
    word: f"{word} from"
    for word in ("quantized", "pruned", "pruned and fine-tuned", "pruned by channels", "widened")
}
_SHORT = {"fine-tuned": "fine-tuned, or siblings"}
_OR_RELATIVE = " or from a relative of it"
_WHOLE = {
    "sub-network": "sub-network: one is a part of the other, in whole layers",
    "rescaled per channel": "rescaled per channel, one from the other",
    "weakly alike": "weakly alike: more than strangers, too little to say kin",
    "partly kin": "partly kin: a few layers go back to one another",
    "fine-tuned": "fine-tuned from one another, or both from one start",
    "trained apart": "same architecture, trained apart",
}


def comparison_text(comparisons: Sequence[Comparison], *, layers: bool = False) -> RenderableType:
    """Return the checkpoints, the verdict on every pair, the evidence, and with `layers` a row a layer.

    `comparisons` are those of all pairs, those with the first checkpoint first.
    """
    sides = [
        comparisons[0].first,
        *(x.second for x in comparisons if x.first == comparisons[0].first),
    ]
    with_first = comparisons[: len(sides) - 1]
    parts: list[RenderableType] = [_side(k + 1, side) for k, side in enumerate(sides)]
    if len(sides) > 2:
        parts += ["", _matrix(comparisons, len(sides))]
    for k, comparison in enumerate(with_first):
        parts += ["", _verdict(comparison.relation, 1, k + 2), *evidence(comparison)]
        parts += layer_tables(comparison, 1, k + 2) if layers else []
    if layers and any(comparison.layers for comparison in with_first):
        parts += ["", Text(LEGEND, "dim")]
    return Group(*parts)


LEGEND = (
    "D: drift, nats; null: what sampling alone gives; cos: mean cosine of matched kernels, and its 5 % "
    "quantile; diff: share of weights that differ; rel: length of the change over that of the weight; "
    "S, H, O: sparsity, variance entropy, orthogonality of 1, and below of 2"
)


def layer_tables(comparison: Comparison, first: int = 1, second: int = 2) -> list[RenderableType]:
    """Return the table of the matched layers, and that of those without a partner."""
    parts: list[RenderableType] = []
    if comparison.layers:
        parts += ["", _layers(comparison.layers)]
    if comparison.unmatched:
        parts += ["", _unmatched(comparison, first, second)]
    return parts


def named_verdict(comparison: Comparison) -> Sentences:
    """Return the verdict on a pair as a sentence with the names of both."""
    first, second = comparison.first.path, comparison.second.path
    style = _STYLES.get(comparison.relation.label, "yellow") + " bold"
    return Sentences([_words(comparison.relation, first, second)], style)


def _side(place: int, side: Side) -> Text:
    text = Text.assemble((f"{place} ", "bold"), side.path)
    layers = f"{quantity(side.n_layers, 'layer')}, {quantity(side.n_kernels, 'kernel')}"
    text.append(f" ({side.format}): {layers}")
    return text.append(f"; {side.unread}", "yellow") if side.unread else text


def _words(relation: Relation, first: int | str, second: int | str) -> str:
    """The verdict as a sentence about two checkpoints, by their numbers or names."""
    if relation.source is None or relation.label not in _MADE:
        return f"{first} and {second}: {_WHOLE.get(relation.label, relation.label)}"
    derived, source = (second, first) if relation.source == 0 else (first, second)
    relative = _OR_RELATIVE if relation.may_be_relative else ""
    return f"{derived} {_MADE[relation.label]} {source}{relative}"


def _verdict(relation: Relation, first: int, second: int) -> Text:
    return Text(_words(relation, first, second), _STYLES.get(relation.label, "yellow") + " bold")


def evidence(comparison: Comparison) -> list[Padding]:
    """Return the reasons of a verdict, below it."""
    return [Padding(Text(sentence), (0, 0, 0, 2)) for sentence in comparison.relation.reasons]


def _matrix(comparisons: Sequence[Comparison], n: int) -> RenderableType:
    pairs = [(i, j) for i in range(1, n + 1) for j in range(i + 1, n + 1)]
    by_pair = dict(zip(pairs, comparisons, strict=True))
    if n > LARGEST_MATRIX:
        return Group(*(_verdict(by_pair[pair].relation, *pair) for pair in pairs))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("", justify="right")
    for i in range(1, n):
        table.add_column(str(i), overflow="fold")
    for j in range(2, n + 1):
        cells = [_cell(by_pair[i, j].relation, i, j) for i in range(1, j)]
        table.add_row(str(j), *cells, *[""] * (n - j))
    return table


def _cell(relation: Relation, first: int, second: int) -> Text:
    label = (
        _SHORT.get(relation.label, relation.label)
        if relation.source is None
        else _words(relation, first, second)
    )
    return Text(label, _STYLES.get(relation.label, "yellow"))


def _layers(layers: Sequence[MatchedLayer]) -> Table:
    """Two lines a layer: what it is to its partner, and below the quality of the partner."""
    table = plain_table()
    table.add_column("layer", overflow="fold", ratio=1)
    for heading in ("D", "null", "cos", "5 %", "diff", "rel", "S", "H", "O"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for layer in layers:
        table.add_row(*_first_line(layer))
        table.add_row(*_second_line(layer))
    return table


def _first_line(layer: MatchedLayer) -> list[RenderableType]:
    record, detail = layer.record(), layer.detail
    return [
        Text(layer.first),
        number(record.get("drift"), 2),
        number(record.get("null_mean"), 2),
        number(record["cosine"], 2),
        number(record["cosine_low"], 2),
        f"{record['changed']:.0%}",
        number(record["relative_change"], 2),
        *_quality(record, "first"),
        verdict(detail.first.verdict.label) if detail else "",
    ]


def _second_line(layer: MatchedLayer) -> list[RenderableType]:
    partner = layer.second if layer.second != layer.first else ""
    how = _how(layer)
    name = Text(f"  {partner} {how}" if partner else f"  {how}", "dim")
    detail = layer.detail
    label = verdict(detail.second.verdict.label) if detail else ""
    return [name, *[""] * 6, *_quality(layer.record(), "second"), label]


def _how(layer: MatchedLayer) -> str:
    """How a layer was matched, and what was done to it before."""
    if layer.block is not None:
        return layer.block.text
    how = "reordered channels" if layer.reordered else f"by {layer.how}"
    how = layer.transform.text if layer.transform is not None else how
    return f"{how}; {layer.deviation.text}" if layer.deviation and layer.deviation.text else how


def _quality(record: dict, side: str) -> list[str]:
    names = ("sparsity", "variance_entropy", "orthogonality")
    return [number(record.get(f"{name}_{side}"), 2) for name in names]


def _unmatched(comparison: Comparison, first: int, second: int) -> Table:
    table = plain_table()
    table.add_column("unmatched layer", overflow="fold", ratio=1)
    table.add_column("of", justify="right")
    table.add_column("shape", overflow="fold")
    table.add_column("reason", overflow="fold")
    for layer in comparison.unmatched:
        place = first if layer.side == "first" else second
        shape = "x".join(map(str, layer.shape))
        table.add_row(Text(layer.layer), str(place), shape, Text(layer.reason))
    return table
