"""The sentences that a summary begins with: families, who comes from whom, and layers that need a look."""

from collections import Counter
from collections.abc import Iterator, Sequence

from ..errors import printable
from ..questions import Family, Forest
from ..scans import Scan
from ..scans.internal import BAD
from ._cells import quantity
from ._shown_forest import shown_forest
from ._trees import SOUP, branches

NAMED = 4
"""Models that one sentence names, and layers of a model."""

MOST_SENTENCES, MOST_LOOKS = 10, 6
"""Relations, and models, that have sentences of their own."""

MOST_READ, MOST_BYTES = 48, 256 << 20
"""Models in families, and bytes of all checkpoints, up to which a summary reads weights: some seconds."""

_BAD = {
    "non-finite": ("layer with NaN or infinity", "layers with NaN or infinity"),
    "all-zero": ("dead layer", "dead layers"),
    "collapsed": ("collapsed layer", "collapsed layers"),
    "random-like": ("layer of random-like kernels", "layers of random-like kernels"),
}
_LOOK = ("sparse", "low-diversity")


def family_leads(scan: Scan) -> list[str]:
    """Return how many families there are, and a sentence on who comes from whom in each.

    Nothing for one model, and where families are not known: a scan of an earlier version has no sketches.
    """
    if len(scan.model_names) < 2:
        return []
    try:
        forest, _ = shown_forest(scan, most_read=MOST_READ, most_bytes=MOST_BYTES)
    except ValueError:
        return []
    if not forest.families:
        return ["no families: no model is kin to another"]
    n = len(forest.families)
    alone = f", {quantity(len(forest.strangers), 'model')} without kin" if forest.strangers else ""
    lines = [f"{n:,} {'family' if n == 1 else 'families'}{alone}"]
    sentences = [x for family in forest.families for x in descent(forest, family)]
    lines += sentences[:MOST_SENTENCES]
    if (more := len(sentences) - MOST_SENTENCES) > 0:
        lines.append(f"and {more:,} more, which `jfilters lineage` shows")
    return lines


def descent(forest: Forest, family: Family) -> Iterator[str]:
    """Return sentences such as "birds.pth comes from base.pth (fine-tuned)", one for each kind of edge."""
    children: dict[tuple[str, str, bool], list[str]] = {}
    kin: dict[str, None] = {}
    for branch in branches(forest, family):
        edge = branch.edge
        if edge is None or branch.above is None or branch.is_continued:
            continue
        if edge.relation == "unknown" and not edge.directed:
            kin |= dict.fromkeys((branch.above, branch.model))
        else:
            above = ", ".join(branch.parts) if edge.relation == SOUP else branch.above
            children.setdefault((above, edge.relation, edge.directed), []).append(branch.model)
    if kin:
        yield f"{named(list(kin))} are kin"
    for (above, relation, directed), models in children.items():
        yield _sentence(models, above, relation, directed=directed)


def _sentence(models: list[str], above: str, relation: str, *, directed: bool) -> str:
    is_one = len(models) == 1
    how = "" if relation == "unknown" else f" ({_HOW.get(relation, relation)})"
    verb = "comes" if is_one else "come"
    if directed:
        return f"{named(models)} {verb} from {printable(above)}{how}"
    if relation in _TOGETHER:
        everyone = named([above, *models]) if len(models) >= NAMED else named([*models, above])
        return f"{everyone} {_TOGETHER[relation]}"
    start = f", or {'both' if is_one else 'all'} from one start" if relation == "fine-tuned" else ""
    return f"{named(models)} {verb} from {printable(above)}, or the reverse{start}{how}"


_TOGETHER = {
    "identical": "are identical",
    "common ancestor": "come from one ancestor, which may be the initialization",
}
"""Relations in which no model is before another."""

_HOW = {"identical": "a copy", SOUP: "their average", "sub-network": "a part of it"}


def look_leads(scan: Scan) -> list[str]:
    """Return a sentence for each model with bad layers, and one for those worth a look."""
    bad: dict[str, dict[str, list[str]]] = {}
    look: Counter[str] = Counter()
    columns = (scan.layer_table[name].to_pylist() for name in ("model", "layer", "verdict"))
    for model, layer, verdict in zip(*columns, strict=True):
        if verdict in BAD:
            bad.setdefault(model, {}).setdefault(verdict, []).append(layer)
        look[model] += verdict in _LOOK
    lines = [
        f"{printable(model)} has {_layers(verdict, layers)}"
        for model, verdicts in list(bad.items())[:MOST_LOOKS]
        for verdict, layers in verdicts.items()
    ]
    if len(bad) > MOST_LOOKS:
        lines.append(f"and {quantity(len(bad) - MOST_LOOKS, 'more model')} with bad layers")
    worth = sum(look.values())
    if worth:
        n = sum(1 for count in look.values() if count)
        lines.append(
            f"worth a look: {quantity(worth, 'sparse or low-diversity layer')} in "
            f"{quantity(n, 'model')}"
        )
    return lines


def _layers(verdict: str, layers: Sequence[str]) -> str:
    one, several = _BAD.get(verdict, (f"{verdict} layer", f"{verdict} layers"))
    count = f"a {one}" if len(layers) == 1 else f"{len(layers):,} {several}"
    return f"{count}: {named(layers)}"


def named(names: Sequence[str]) -> str:
    """Return names as a list in words; those beyond `NAMED` are counted."""
    shown = [printable(name) for name in names[:NAMED]]
    if len(names) > NAMED:
        return f"{', '.join(shown)} and {len(names) - NAMED:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
