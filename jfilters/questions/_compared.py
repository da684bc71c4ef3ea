"""Checkpoints compared by their paths: a few pair by pair, a folder of them family by family.

What is no checkpoint is left out, and one that cannot be read is set aside with its reason.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..answers import Answer
from ..compare import Comparison, Comparisons, compare, compare_pair
from ..converters import Location, detect, location, open_checkpoint
from ..converters.internal import is_folder
from ..engine.internal import Entry, find_checkpoints, listed_checkpoints
from ..errors import CheckpointError, UnknownFormatError, printable, redacted
from ..scans import Scan
from ..scans.internal import FINDINGS

MOST_PAIRWISE = 8
"""Checkpoints that are compared pair by pair: 28 pairs."""

MOST_PAIRS = 200
"""Pairs that are compared in families; each reads two checkpoints."""


@dataclasses.dataclass(frozen=True)
class ComparedFamily:
    """Checkpoints that are kin, and the comparisons along their tree; all others follow from those."""

    models: tuple[str, ...]
    pairs: tuple[Comparison, ...]


@dataclasses.dataclass(frozen=True)
class ComparedFamilies(Answer):
    """Checkpoints by family, each compared with those next to it.

    - `families`: those of two and more, the largest first; `strangers`: checkpoints without kin.
    - `without_kernels`: checkpoints without a kernel of 3x3, by which kin are found.
    - `pairs_left`: pairs of kin that were too many to compare.
    """

    families: tuple[ComparedFamily, ...]
    strangers: tuple[str, ...]
    without_kernels: tuple[str, ...] = ()
    pairs_left: int = 0

    def record(self) -> dict[str, Any]:
        """Return the families with their comparisons, and the checkpoints without kin."""
        return {
            "families": [
                {
                    "models": list(family.models),
                    "pairs": [pair.record() for pair in family.pairs],
                }
                for family in self.families
            ],
            "strangers": list(self.strangers),
            "without_kernels": list(self.without_kernels),
            "pairs_left": self.pairs_left,
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a pair, with the number of its family."""
        for number, family in enumerate(self.families, 1):
            for row in Comparisons(family.pairs).rows():
                yield {"family": number, **row}

    def by_layer(self) -> "ComparedFamilies":
        """Return the same families, with one row a matched layer."""
        return _ByLayer(**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})


class _ByLayer(ComparedFamilies):
    def rows(self) -> Iterator[dict[str, Any]]:
        for number, family in enumerate(self.families, 1):
            for row in Comparisons(family.pairs).by_layer().rows():
                yield {"family": number, **row}


@dataclasses.dataclass(frozen=True)
class Compared:
    """Answer to `compare` by paths.

    - `answer`: all pairs of a few checkpoints, or a folder of them by family.
    - `unread`: checkpoints that could not be read, or not in whole, with the reason.
    - `ignored`: files that are no checkpoint.
    """

    answer: Comparisons | ComparedFamilies
    unread: dict[str, str]
    ignored: tuple[str, ...]


def compare_paths(
    paths: Sequence[str],
    *,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
    detailed: bool = True,
    progress: bool = False,
) -> Compared:
    """Compare checkpoints and folders of them.

    At most `MOST_PAIRWISE` files are compared pair by pair. More of them, and those of folders, are sorted
    into families by their sketches first, and only kin are compared.

    Raises:
        CheckpointError: a path does not exist; or fewer than two are left, for what is wrong with one.
        ValueError: there are fewer than two checkpoints.
    """
    options = {"axes": axes, "network": network, "standardize": standardize}
    entries, ignored, refusal = _entries(paths)
    names = tuple(printable(redacted(str(path))) for path in ignored)
    # A file that is named twice is compared with itself.
    files = [path for path in paths if location(path) not in ignored]
    if len(files) < 2 and len(entries) < 2:
        raise refusal or ValueError(_too_few(paths, len(entries)))
    if len(files) <= MOST_PAIRWISE and not any(map(_is_listed, paths)):
        answer, unread = _pairwise(files, options, detailed=detailed)
    else:
        from .lineage._paths import scanned  # a fifth of a second, which a pair can do without

        places = [entry.path for entry in entries]
        scan = scanned(places, options, progress=progress)
        answer, unread = _by_family(scan, entries, options, detailed=detailed)
    return Compared(answer, unread, names)


def _too_few(paths: Sequence[str], n: int) -> str:
    """Return the sentence for fewer than two checkpoints."""
    if len(paths) == 1 and not _is_listed(paths[0]):
        return "expected two checkpoints or more, or a folder of them; got one file"
    return f"expected two checkpoints or more, found {n} in {', '.join(paths[:3])}"


def _is_listed(path: str) -> bool:
    """True for a folder of checkpoints; a checkpoint that is a folder stands for itself."""
    place = location(path)
    return is_folder(place) and find_checkpoints(place)[0] != [place]


def _entries(paths: Sequence[str]) -> tuple[list[Entry], list[Location], CheckpointError | None]:
    """Return the checkpoints at paths, what is ignored, and the refusal of the first file that is none."""
    places: list[Location] = []
    others: list[Location] = []
    refusal: CheckpointError | None = None
    for path in map(location, dict.fromkeys(paths)):
        try:
            detect(path) if _is_plain_file(path) else None
        except UnknownFormatError as error:
            refusal = refusal or error
            others.append(path)
        except CheckpointError:
            places.append(path)  # an entry that says why it cannot be read
        else:
            places.append(path)
    entries, ignored = listed_checkpoints(places) if places else ([], [])
    return entries, [*others, *ignored], refusal


def _is_plain_file(path: Location) -> bool:
    return not is_folder(path) and (not isinstance(path, Path) or path.exists())


def _pairwise(
    files: list[str], options: dict[str, Any], *, detailed: bool
) -> tuple[Comparisons, dict[str, str]]:
    """Compare all pairs of what can be read; each failure sets one checkpoint aside."""
    unread: dict[str, str] = {}
    while True:
        try:
            return compare(*files, **options, detailed=detailed), unread
        except CheckpointError as error:
            broken = next((file for file in files if redacted(file) == error.path), None)
            if broken is None or len(files) < 3:
                raise
            files = [file for file in files if file != broken]
            unread[printable(redacted(broken))] = str(error)


def _by_family(
    scan: Scan, entries: Sequence[Entry], options: dict[str, Any], *, detailed: bool
) -> tuple[ComparedFamilies, dict[str, str]]:
    from .lineage._lineage import find_lineage

    records = scan.record["checkpoints"]
    unread = {x["model"]: str(x["reason"]) for x in records if x["status"] in FINDINGS}
    empty = tuple(x["model"] for x in records if x["status"] == "empty")
    if len(scan.model_names) < 2:
        return ComparedFamilies((), tuple(scan.model_names), empty), unread
    forest = find_lineage(scan, weights=False)
    paths = {entry.model: entry.path for entry in entries}
    families, left = [], 0
    for family in forest.families:
        edges = [(edge.parent, edge.child) for edge in forest.of_family(family)]
        n_compared = sum(len(x.pairs) for x in families)
        left += max(0, len(edges) - (MOST_PAIRS - n_compared))
        edges = edges[: MOST_PAIRS - n_compared]
        pairs = [_pair(names, paths, options, unread, detailed=detailed) for names in edges]
        families.append(ComparedFamily(family.models, tuple(pair for pair in pairs if pair)))
    return ComparedFamilies(tuple(families), forest.strangers, empty, left), unread


def _pair(
    names: tuple[str, str],
    paths: dict[str, Location],
    options: dict[str, Any],
    unread: dict[str, str],
    *,
    detailed: bool,
) -> Comparison | None:
    """Return the comparison of two models; None where one cannot be read, or is part of a population."""
    if not paths.keys() >= set(names) or unread.keys() & set(names):
        return None
    opened = []
    for name in names:
        try:
            opened.append(open_checkpoint(paths[name], **options))
        except CheckpointError as error:
            unread[name] = str(error)
            return None
    try:
        return compare_pair(opened[0], opened[1], names=names, detailed=detailed)
    except CheckpointError as error:
        broken = next((x for x in names if redacted(str(paths[x])) == error.path), names[1])
        unread[broken] = str(error)
        return None
