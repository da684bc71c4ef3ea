"""Drift between groups of the layers of one scan: all pairs, with their nulls."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, Unpack, runtime_checkable

import numpy as np
from jaxtyping import Float

from ...scans import Groups, Scan, group_layers
from ...scans.internal import Units, units_of
from ...shift import METRICS, PopulationNull, SamplingNull, UnitDrift, holm
from ...shift.internal import ONE_UNIT, ONE_VARYING
from ._by_sample import SampleComparison
from ._by_statistics import StatisticsComparison
from ._pair import Pair, Size
from ._question import Question, QuestionOptions
from ._sides import Side, sides_of
from ._table import DriftTable
from ._unit_words import reason_in, warnings_of

MOST_GROUPS = 2_000
"""Groups of which all pairs are compared: two million pairs."""

MOST_REPLICATES = 8_000
"""Draws of sampling nulls over all pairs of a question, so that many pairs take no longer than some."""

FEWEST_REPLICATES = 50
"""Draws of the sampling null of a pair: its 95 % quantile is then off by a tenth of the spread."""

DEFAULTS = Question()

NOT_PERMUTED = PopulationNull(None, 1.0, False, "no permutations were asked for")


@runtime_checkable
class Comparison(Protocol):
    """A metric between the sides of one question."""

    @property
    def features(self) -> int:
        """The numbers of a row that is added up."""
        ...

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the values between a side and all sides, and those of each component where it has them."""
        ...

    def sampling(
        self, rng: np.random.Generator, i: int, j: int, replicates: int
    ) -> SamplingNull | None:
        """Return the null of sampling of a pair; None for a metric without one."""
        ...

    def population(
        self, rng: np.random.Generator, places: Sequence[int], permutations: int
    ) -> PopulationNull:
        """Return the null of units relabeled among some sides."""
        ...

    def effect(self, i: int, j: int) -> UnitDrift | None:
        """Return the drift between the populations of units of a pair; None where none is estimated."""
        ...


def drift_between(
    scan: Scan,
    by: str | Groups = "model",
    question: Question = DEFAULTS,
    **options: Unpack[QuestionOptions],
) -> DriftTable:
    """Compare every pair of groups of layers: the value, its nulls, and a label.

    NumPy on the host, in float64; no weights are read.

    Args:
        scan: in memory or opened.
        by: the axis whose labels make the groups; or a partition of the layers.
        question: metric, balance, permutations and the like.
        options: fields of `Question`, which replace those of `question`.

    Returns:
        The square matrix, in the unit of the metric, and one record a pair.

    Raises:
        ValueError: for an axis or metric that is not there, fewer than two groups, and what the scan does
            not hold.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> folder, rng = tempfile.mkdtemp(), np.random.default_rng(0)
    >>> for name in ("a", "b"):
    ...     weight = rng.normal(size=(8, 4, 3, 3)).astype(np.float32)
    ...     safetensors.numpy.save_file({"conv.weight": weight}, f"{folder}/{name}.safetensors")
    >>> answer = jf.scan(folder, progress=False).drift(by="model", permutations=0)
    >>> answer.labels, answer.matrix.shape
    (('a.safetensors', 'b.safetensors'), (2, 2))
    """
    question = dataclasses.replace(question, **options)
    groups = groups_of(scan, by, question)
    units = units_of(scan, question.unit)
    sides = sides_of(scan, groups.groups, question, units)
    comparison = comparison_of(scan, sides, question)
    rows = [comparison.row(i) for i in range(len(sides))]
    matrix = _compared(np.stack([values for values, _ in rows]), groups)
    places = list(groups.pairs)
    replicates = replicates_of(question, len(places))
    pairs = []
    sizes = tuple(map(_size, sides))
    for i, j in places:
        sampling = sampling_of(comparison, (i, j), question.seed, replicates)
        # Apart from the draws of the sampling null, so that p is the same for every balance.
        rng = np.random.default_rng([question.seed, i, j, 1])
        population = _population(rng, comparison, sides, (i, j), question)
        reason = reason_in(population.reason, (sides[i], sides[j]), units.kind)
        has_units = min(sizes[i].units, sizes[j].units) > 1
        effect = comparison.effect(i, j) if has_units else None
        null = population._replace(reason=reason)
        pairs.append(_pair(groups, sizes, rows[i], (i, j), sampling, null, effect))
    return _table(scan, groups, question, units, sides, sizes, matrix, adjusted(pairs))


def _population(
    rng: np.random.Generator,
    comparison: Comparison,
    sides: Sequence[Side],
    places: tuple[int, int],
    question: Question,
) -> PopulationNull:
    first, second = (sides[place].of_units for place in places)
    if len(first) == len(second) == 1:  # thousands of pairs of single models need no arrays
        reason = ONE_VARYING if first[0] == second[0] else ONE_UNIT
        return PopulationNull(None, 1.0, True, reason)
    if not question.permutations:
        return NOT_PERMUTED
    return comparison.population(rng, places, question.permutations)


def sampling_of(
    comparison: Comparison, places: tuple[int, int], seed: int, replicates: int
) -> SamplingNull | None:
    """Return the sampling null of a pair, from numbers of its own, which no other pair changes."""
    if not replicates:
        return None
    return comparison.sampling(np.random.default_rng([seed, *places, 0]), *places, replicates)


def replicates_of(question: Question, pairs: int) -> int:
    """Return the number of draws behind each sampling null: fewer for many pairs."""
    return min(question.replicates, max(MOST_REPLICATES // max(pairs, 1), FEWEST_REPLICATES))


def _table(
    scan: Scan,
    groups: Groups,
    question: Question,
    units: Units,
    sides: Sequence[Side],
    sizes: tuple[Size, ...],
    matrix: Float[np.ndarray, "m m"],
    pairs: tuple[Pair, ...],
) -> DriftTable:
    return DriftTable(
        groups.by,
        question,
        tuple(group.name for group in groups.groups),
        sizes,
        matrix,
        pairs,
        groups.unknown,
        unit=units.kind,
        units=distinct([side.unit for side in sides]),
        models=distinct([side.model for side in sides]),
        warnings=warnings_of(scan, groups.by, sides, units),
    )


def distinct(numbers: Sequence[np.ndarray]) -> int:
    """Return how many different numbers some arrays hold."""
    return len(np.unique(np.concatenate(numbers)))


def _size(side: Side) -> Size:
    return Size(side.models, side.units, len(side.layers), side.kernels, side.size)


def groups_of(scan: Scan, by: str | Groups, question: Question) -> Groups:
    """Return the groups that a question compares.

    Raises ValueError for an axis that is not there, fewer than two groups, and more than `MOST_GROUPS`.
    """
    groups = by if isinstance(by, Groups) else group_layers(scan, by, question.within)
    check_comparable_groups(scan, groups)
    _check_number(groups)
    return groups


def value_matrix(comparison: Comparison, groups: Groups) -> Float[np.ndarray, "m m"]:
    """Return the values of `drift_between` alone, without nulls and without a record a pair."""
    rows = [comparison.row(i)[0] for i in range(len(groups.groups))]
    return _compared(np.stack(rows), groups)


def comparison_of(scan: Scan, sides: Sequence[Side], question: Question) -> Comparison:
    """Return the metric of a question between some sides, as what it reads allows."""
    if METRICS[question.metric].reads == "sample":
        return SampleComparison(scan, sides, question)
    return StatisticsComparison(scan, sides, question)


def check_comparable_groups(scan: Scan, groups: Groups) -> None:
    """Raise ValueError, with the remedy, for fewer than two groups to compare."""
    if not scan.arrays:
        _ = scan.edges  # raises: the scan has no kernels, so that no other axis would help
    if next(iter(groups.pairs), None) is None:
        names = ", ".join(group.name for group in groups.groups[:5]) or "none"
        raise ValueError(
            f"expected two groups or more along {_place(groups)}, found {names}; "
            "ask for another axis, or hand over --meta"
        )


def _check_number(groups: Groups) -> None:
    if len(groups.groups) > MOST_GROUPS:
        raise ValueError(
            f"expected at most {MOST_GROUPS} groups along {_place(groups)}, found "
            f"{len(groups.groups)}; narrow the question with --where"
        )


def _place(groups: Groups) -> str:
    return groups.by + ("" if groups.within is None else f" inside one value of {groups.within}")


def _pair(
    groups: Groups,
    sizes: tuple[Size, ...],
    row: tuple[np.ndarray, np.ndarray | None],
    places: tuple[int, int],
    sampling: SamplingNull | None,
    population: PopulationNull,
    effect: UnitDrift | None,
) -> Pair:
    (i, j), (values, shares) = places, row
    first, second = groups.groups[i], groups.groups[j]
    value = None if np.isnan(values[j]) else float(values[j])
    return Pair(
        first.label,
        second.label,
        first.within,
        value,
        None if value is None or sampling is None else value - sampling.mean,
        *((None, None, None) if effect is None else effect),
        None if shares is None else tuple(shares[j].tolist()),
        sizes[i],
        sizes[j],
        sampling,
        p=population.p,
        p_adjusted=None,
        smallest_p=population.smallest,
        reason=population.reason,
        thinned_to=population.kernels,
        units_out=population.units_out,
    )


def _compared(matrix: Float[np.ndarray, "m m"], groups: Groups) -> Float[np.ndarray, "m m"]:
    """Only pairs inside one value of the other axis; NaN elsewhere."""
    within = np.array([group.within or "" for group in groups.groups], object)
    return np.where(within[:, None] == within[None], matrix, np.nan)


def adjusted(pairs: list[Pair]) -> tuple[Pair, ...]:
    """Correct p for the number of pairs that have one."""
    tested = [k for k, pair in enumerate(pairs) if pair.p is not None]
    adjusted = dict(zip(tested, holm([pairs[k].p or 0 for k in tested]).tolist(), strict=True))
    return tuple(
        dataclasses.replace(pair, p_adjusted=adjusted.get(k)) for k, pair in enumerate(pairs)
    )
