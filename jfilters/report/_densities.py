"""Learned densities for a terminal of 80 columns: likelihoods, divergences and the least likely layers."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ..questions import DensityTable, FittedDensities, LayerScore
from ..questions.internal import GroupSamples, Sampled
from ._cells import count, number, plain_table, quantity

_LIKELIHOOD = (
    "held-out log-density in nats per kernel, larger is better; gain: of the flow over "
    "the best of uniform, Gaussian and histogram; below 0 do not use it"
)
_DIVERGENCE = (
    "KL and their sum J in nats, +- one standard error of drawing kernels; 0 is the same, larger "
    "is more different; a lower bound on average: what the flows cannot learn is not in it; "
    "= not distinguishable (J within 2 errors of 0); acc.: accuracy of a classifier on held-out "
    "kernels, 0.5 for equal distributions"
)


def densities_text(fitted: FittedDensities) -> RenderableType:
    """Return the likelihood of held-out kernels under the flow of each group, beside simple densities."""
    table = plain_table()
    table.add_column("group", overflow="fold", ratio=1)
    for heading in ("kernels", "zero", "uniform", "gauss", "hist", "flow", "+-", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    for likelihood in fitted.likelihoods:
        simple = [number(value, 2) for value in likelihood.baselines.values()]
        numbers = [
            number(likelihood.flow, 2),
            number(likelihood.error, 2),
            f"{likelihood.gain:+.2f}",
        ]
        group = likelihood.group
        table.add_row(Text(group.label), count(group.sampled), count(group.zero), *simple, *numbers)
    used = fitted.samples.kernels.shape[1]
    share = f"{fitted.options.held_out:.0%}"
    each = Text(f"{quantity(used, 'kernel')} of each group, {share} of them held out")
    return Group(table, each, *_notes(fitted.samples), Text(_LIKELIHOOD, "dim"))


def divergence_text(divergences: DensityTable) -> RenderableType:
    """Return every pair of groups, the most different first."""
    table = plain_table()
    for heading in ("from", "to"):
        table.add_column(heading, overflow="fold", ratio=1, min_width=12)
    for heading in ("KL", "KL back", "J", "", "acc."):
        table.add_column(heading, justify="right", no_wrap=True)
    for pair in sorted(divergences.rows(), key=lambda pair: -pair["jeffreys"]):
        values = [
            f"{pair[name]:.2f} +-{pair[f'{name}_error']:.2f}"
            for name in ("forward", "backward", "jeffreys")
        ]
        verdict = "" if pair["distinguishable"] else "="
        names = Text(pair["first"]), Text(pair["second"])
        table.add_row(*names, *values, verdict, f"{pair['accuracy']:.2f}")
    used = divergences.samples.kernels.shape[1]
    each = Text(
        f"{quantity(used, 'kernel')} of each of {quantity(len(divergences.labels), 'group')}"
    )
    return Group(table, each, *_notes(divergences.samples), Text(_DIVERGENCE, "dim"))


def scores_text(scores: Sequence[LayerScore], *, most: int) -> RenderableType:
    """Return the layers whose kernels are least likely, those first."""
    table = plain_table()
    table.add_column("least likely layers", overflow="fold", ratio=1)
    for heading in ("kernels", "zero", "nats", "+-"):
        table.add_column(heading, justify="right", no_wrap=True)
    scored = sorted((s for s in scores if s.nats is not None), key=lambda s: s.nats or 0)
    for score in scored[:most]:
        numbers = (
            count(score.kernels),
            count(score.zero),
            number(score.nats, 2),
            number(score.error, 2),
        )
        table.add_row(Text(score.layer), *numbers)
    unknown = len(scores) - len(scored)
    notes = [Text(f"{quantity(unknown, 'layer')} with too few kernels to tell")] if unknown else []
    hidden = len(scored) - most
    notes += (
        [Text(f"{quantity(hidden, 'layer')} more: --most, or --format json")] if hidden > 0 else []
    )
    return Group(
        table, *notes, Text("mean log-density in nats per kernel: lower is more unusual", "dim")
    )


def _notes(samples: GroupSamples) -> list[Text]:
    """Groups that were left out, and those whose kin are on both sides of a split."""
    return [*_left_out(samples.left_out), *_cut_between_kernels(samples.groups)]


def _cut_between_kernels(groups: Sequence[Sampled]) -> list[Text]:
    cut = [group for group in groups if not group.by_units]
    if not cut:
        return []
    names = ", ".join(f"{group.label} ({quantity(group.units, 'unit')})" for group in cut)
    if all(group.units == 1 for group in cut) and len(cut) == len(groups):
        names = "all groups have one unit"
    return [
        Text(f"split between kernels, not units: {names}; errors tell nothing about other networks")
    ]


def _left_out(groups: Sequence[Sampled]) -> list[Text]:
    if not groups:
        return []
    names = ", ".join(f"{group.label} ({count(group.sampled)})" for group in groups)
    return [Text(f"left out, too few sampled kernels: {names}", "yellow")]
