"""Sentences about the units of a test: why there is none, and what limits the one there is."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ...scans import Scan
from ...scans.internal import Units, units_of
from ...shift.internal import ONE_UNIT, ONE_VARYING
from ._sides import Side

APART = 0.9
"""Probability that a unit of one group is the larger one, from which on sizes go with the label."""

TIMES = 3.0
"""Ratio of the median sizes of two groups, from which on that is worth a warning."""

FEWEST_SIZED = 3
"""Units of a group whose sizes are compared."""

_NAMED = 3  # groups in a warning
_NOUNS = {
    "model": ("network", "networks"),
    "family": ("family", "families"),
    "run": ("run", "runs"),
    "family or run": ("family or run", "families or runs"),
}


def nouns(kind: str) -> tuple[str, str]:
    """Return the singular and the plural of a kind of unit."""
    return _NOUNS.get(kind, (f"unit of {kind}", f"units of {kind}"))


def unit_in_words(kind: str) -> str:
    """Return what a unit of a kind is."""
    return f"a {kind}" if kind in _NOUNS else f"one label of {kind}"


def reason_in(reason: str | None, sides: Sequence[Side], kind: str) -> str | None:
    """Return the reason why there is no p, in words of the units at hand."""
    noun = nouns(kind)[0]
    if reason == ONE_VARYING:
        return f"one {noun} only: its parts cannot tell what others would show"
    if reason != ONE_UNIT:
        return reason
    nested = [f'"{side.group.label}"' for side in sides if side.models > 1]
    if nested:
        return f"all networks of {' and all of '.join(nested)} are one {noun}"
    return f"one {noun} against one: there is no other way to split them"


def warnings_of(scan: Scan, by: str, sides: Sequence[Side], units: Units) -> tuple[str, ...]:
    """Return what limits a test of these sides, one sentence each."""
    sentences = (*_nested(sides, units), *_kin_apart(scan, sides, units), *_sizes(by, sides))
    return tuple(sentences)


def _nested(sides: Sequence[Side], units: Units) -> Iterator[str]:
    """Name groups of several networks that are few units."""
    many = nouns(units.kind)[1]
    nested = [side for side in sides if side.models > 1 and side.units == 1]
    if nested:
        names = _listed([f'"{side.group.name}"' for side in nested])
        yield f"all networks of {names} are one {nouns(units.kind)[0]}"
    fewer = [side for side in sides if 1 < side.units < side.models]
    if fewer:
        counts = [f'"{x.group.name}" is {x.units:,} {many} ({x.models:,} networks)' for x in fewer]
        yield _listed(counts)


def _kin_apart(scan: Scan, sides: Sequence[Side], units: Units) -> Iterator[str]:
    """Warn where models of one run or family are taken as trained apart."""
    models = np.unique(np.concatenate([side.model for side in sides]))
    if units.kind == "model" and not _has_families(scan):
        yield "families are unknown: each network is taken as trained by itself"
    kin = units_of(scan)
    joined = len(models) - len(np.unique(kin.of_model[models]))
    separate = len(np.unique(units.of_model[models])) - len(np.unique(kin.of_model[models]))
    if kin.kind != "model" and joined and separate > 0 and units.kind != kin.kind:
        yield (
            f"{len(models):,} networks are {len(models) - joined:,} {nouns(kin.kind)[1]}: kin are taken as "
            "trained apart, which makes p too small; --unit auto takes each as one"
        )


def _has_families(scan: Scan) -> bool:
    table = scan.model_table
    return "family" in table.column_names and table["family"].null_count < table.num_rows


def _sizes(by: str, sides: Sequence[Side]) -> Iterator[str]:
    """Warn where one group has the larger networks: their size is no less a reason than the label."""
    apart = []
    of_units = ((side, _unit_sizes(side)) for side in sides)
    sized = [(side, sizes) for side, sizes in of_units if len(sizes) >= FEWEST_SIZED]
    for (first, a), (second, b) in itertools.combinations(sized, 2):
        if first.group.within != second.group.within:
            continue
        is_larger = float(np.mean(np.sign(a[:, None] - b[None]) / 2 + 0.5))
        ratio = float(np.median(a) / np.median(b))
        is_apart = max(is_larger, 1 - is_larger) >= APART and max(ratio, 1 / ratio) >= TIMES
        # Units in both groups are compared with themselves, whatever the sizes of their parts.
        if is_apart and not np.intersect1d(first.of_units, second.of_units).size:
            apart.append((first, second, np.median(a), np.median(b)))
    if apart:
        first, second, a, b = max(apart, key=lambda pair: abs(np.log(pair[2] / pair[3])))
        more = f" ({len(apart)} pairs of groups)" if len(apart) > 1 else ""
        yield (
            f'sizes go with {by}{more}: units of "{first.group.name}" hold {a:,.0f} kernels in the median, '
            f'those of "{second.group.name}" {b:,.0f}; no test tells the effect of one from the other'
        )


def _unit_sizes(side: Side) -> np.ndarray:
    _, place = np.unique(side.unit, return_inverse=True)
    sizes = np.bincount(place.reshape(-1), side.counts)
    return sizes[sizes > 0]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
