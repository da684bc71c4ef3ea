"""Steps in the names of models: counted words, and numbers of their own that rise."""

import re
from collections.abc import Sequence

# "step=500", "epoch-3", "ckpt_7", "iter0100", "netEpoch3": a word of its own, so that "deep50" is none. Of
# several in a name the finest is the step.
_WORDS = "global_step|step|iteration|iter|checkpoint|ckpt|epoch|ep"
_COUNTED = re.compile(
    rf"((?:(?<![A-Za-z])(?i:{_WORDS}))|(?:(?<=[a-z])(?:Step|Iteration|Iter|Checkpoint|Ckpt|Epoch)))"
    r"([=_-]?)(\d+)(k(?![A-Za-z0-9]))?"
)
_METRIC = re.compile(r"(\w+=)-?\d+(?:\.\d+)?")  # "val_loss=0.12", as Lightning names files
_COARSE = ("epoch", "ep")
_NUMBER = re.compile(r"\d+")

# A number between separators. Decimals (alpha_0.5), versions (1.0.2) and dates (2024-01-31) are no steps.
_ALONE = re.compile(r"(?<![A-Za-z0-9])(\d+)(?![A-Za-z0-9])")
_DECIMAL = re.compile(r"\d+(?:\.\d+)+")
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)")
_WORD_BEFORE = re.compile(r"([A-Za-z]+)[^A-Za-z0-9]*$")

_VARIANTS = """
seed seeds rng random init fold folds cv split splits part shard rank gpu worker device
node version ver rev release size sizes scale scales width depth dim dims layers channels
ch px pixels res resolution img image patch window bits bit int fp lr wd bs batch alpha
beta gamma sigma tau eps temperature swa ema avg average top best trial rep repeat
replica replicate exp experiment member ensemble task client user group cluster subject
stage level block head variant type id no num noise snr jpeg quality class classes params
rate factor crop length len
"""
NOT_STEPS = frozenset(_VARIANTS.split())
"""Words whose number names a variant and not a step; any single letter is one more."""

_MOST_DIGITS = 7
"""Of a bare step; longer numbers are hashes, unless they end in 000."""


def counted_step(model: str) -> tuple[str, int] | None:
    """Return the name with stars for the numbers of counted words, and the finest of these numbers.

    >>> counted_step("epoch=3-step=500.ckpt"), counted_step("deep50.pt")
    (('epoch=*-step=*.ckpt', 500), None)
    """
    matches = list(_COUNTED.finditer(model))
    if not matches:
        return None
    finest = [match for match in matches if match[1].lower() not in _COARSE] or matches
    starred = _METRIC.sub(r"\1*", _COUNTED.sub(r"\1\2*", model))
    return starred, int(finest[-1][3]) * (1_000 if finest[-1][4] else 1)


def bare_number(model: str, *, alone: bool = False) -> tuple[str, int] | None:
    """Return the name with a star for its last number, and the number; None if there is none.

    `alone`: take a number between separators alone, and none that names a seed, a size or the like.

    >>> bare_number("net_20.pt", alone=True), bare_number("net_seed_2.pt", alone=True)
    (('net_*.pt', 20), None)
    """
    base = len(model) - len(model.rpartition("/")[2])
    name = model[base:]
    if alone:
        blank = _DECIMAL.sub(_blank, _DATE.sub(_blank, name))
        matches = [match for match in _ALONE.finditer(blank) if _can_be_step(name, match)]
    else:
        matches = list(_NUMBER.finditer(name))
    if not matches:
        return None
    start, stop = matches[-1].span()
    return f"{model[: base + start]}*{model[base + stop :]}", int(matches[-1][0])


def is_series(numbers: Sequence[int], is_kin: bool | None) -> bool:
    """Return whether rising bare numbers can be steps.

    Numbers 0, 1, 2 of strangers are seeds; all years, or all sizes of images, are no steps either.

    Args:
        numbers: by rising number, two or more.
        is_kin: the models are of one family; None where that is unknown.
    """
    is_counting = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if is_counting and (numbers[0] == 0 or (numbers[0] == 1 and len(numbers) > 2)):
        return is_kin is True
    return not all(map(_is_year, numbers)) and not _are_sizes(numbers)


def _can_be_step(name: str, match: re.Match[str]) -> bool:
    if len(match[0]) > _MOST_DIGITS and not match[0].endswith("000"):
        return False
    word = _WORD_BEFORE.search(name[: match.start()])
    return word is None or (len(word[1]) > 1 and word[1].lower() not in NOT_STEPS)


def _is_year(number: int) -> bool:
    return 1990 <= number < 2040


def _are_sizes(numbers: Sequence[int]) -> bool:
    """Return whether all are multiples of 16 as widths and images have, and not all of 50."""
    are_even = all(32 <= number <= 4096 and number % 16 == 0 for number in numbers)
    return are_even and not all(number % 50 == 0 for number in numbers)


def _blank(match: re.Match[str]) -> str:
    return "x" * len(match[0])
