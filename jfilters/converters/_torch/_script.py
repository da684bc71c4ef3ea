"""The code of a TorchScript archive as text: which constants its convolutions apply, in which order.

Freezing or tracing turns weights into numbered constants of the code. The code is searched, never run.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ...io import ZipArchive

LONGEST_CODE = 1 << 24
"""Characters of code in one file of an archive."""

MAX_CALLS = 100_000
"""Convolutions in the code of one archive."""

_CALL = re.compile(r"torch\.(conv(?:_transpose)?[123]d|_?convolution|_convolution_mode)\(")
_CONSTANT = re.compile(r"CONSTANTS\.c(\d{1,9})")
_BOUND = re.compile(r"^ *(\w+) = (.*CONSTANTS\..*)$", re.MULTILINE)
_PACKED = re.compile(r"ops\.prim\.mkldnn_convolution\(")
_LONGEST_CALL = 4096
_GROUPS, _TRANSPOSED, _GENERAL_GROUPS = 6, 6, 8


class ConstantUse(NamedTuple):
    """A convolution whose weight is a constant, by its number; None for groups that are computed."""

    constant: int
    transposed: bool
    groups: int | None


class Code(NamedTuple):
    """The convolutions of constants in the order in which they run, and how many others are not read.

    - `computed`: convolutions whose weight the code computes from constants.
    - `packed`: convolutions of oneDNN, whose weights the archive does not hold.
    """

    uses: list[ConstantUse]
    computed: int = 0
    packed: int = 0


def code_of(archive: ZipArchive, folder: str) -> Code:
    """The convolutions in all code of an archive."""
    uses, computed, packed = [], 0, 0
    for name in archive.members:
        if name.startswith(f"{folder}code/") and name.endswith(".py"):
            text = archive.text(name, LONGEST_CODE)
            part = _read(text)
            uses += part.uses
            computed, packed = computed + part.computed, packed + part.packed
    return Code(uses, computed, packed)


def _read(text: str) -> Code:
    bound = {match[1]: match[2] for match in _BOUND.finditer(text)}
    uses, computed = [], 0
    for op, arguments in _calls(text):
        weight = arguments[1] if len(arguments) > 1 else ""
        weight = bound.get(weight, weight)
        if match := _CONSTANT.fullmatch(weight):
            uses.append(_use(op, int(match[1]), arguments))
        else:
            computed += "CONSTANTS." in weight
    return Code(uses, computed, len(_PACKED.findall(text)))


def _use(op: str, constant: int, arguments: list[str]) -> ConstantUse:
    is_general = op in ("_convolution", "convolution")
    transposed = "transpose" in op or (is_general and arguments[_TRANSPOSED:][:1] == ["True"])
    place = _GENERAL_GROUPS if is_general else _GROUPS
    text = arguments[place] if len(arguments) > place else "1"
    groups = int(text) if re.fullmatch(r"[1-9]\d{0,8}", text) else None
    return ConstantUse(constant, transposed, groups)


def _calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """The calls of convolutions with their arguments, those inside others first, as they run."""
    calls = []
    for match in _CALL.finditer(text):
        arguments, stop = _arguments(text, match.end())
        calls.append((stop, match[1], arguments))
        if len(calls) >= MAX_CALLS:
            break
    return ((op, arguments) for _, op, arguments in sorted(calls, key=lambda call: call[0]))


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """The texts of the arguments from `start` on, and where their parenthesis closes."""
    arguments, depth, quoted, begin = [], 0, False, start
    end = min(len(text), start + _LONGEST_CALL)
    for position in range(start, end):
        letter = text[position]
        if letter == '"' and text[position - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "([{":
            depth += 1
        elif letter in ")]}" and depth:
            depth -= 1
        elif letter == ")" or (letter == "," and not depth):
            arguments.append(text[begin:position].strip())
            begin = position + 1
            if letter == ")":
                return arguments, position
    return arguments, end
