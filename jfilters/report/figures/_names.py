"""Names as a figure shows them: whatever is in them is text, long ones are cut in the middle.

A dollar would start a formula, and what the font does not have would be a box.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import printable

if TYPE_CHECKING:
    import matplotlib.axis
    import matplotlib.legend

LONGEST = 26
"""Characters of a name in a figure."""


def shown_all(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Names without the folder that all lie in; a number distinguishes names that a cut makes equal."""
    start = _common_folder(names) if len(names) > 1 else 0
    cut = [_cut(_drawable(name[start:]), longest) for name in names]
    twice = {name for name in cut if cut.count(name) > 1}
    numbered = [f"{name} ({i + 1})" if name in twice else name for i, name in enumerate(cut)]
    return [name.replace("$", r"\$") for name in numbered]


def name_ticks(
    axis: "matplotlib.axis.Axis", names: Sequence[str], longest: int = LONGEST, rotation: int = 0
) -> None:
    """Put names at 0, 1, 2, ... along an axis, without tick marks."""
    axis.set_ticks(range(len(names)), labels=shown_all(names, longest), rotation=rotation)
    axis.set_tick_params(length=0)


def name_legend(legend: "matplotlib.legend.Legend", names: Sequence[str]) -> None:
    """Put names to the entries of a legend that was made with other words.

    A name that begins with an underscore would be left out, were it given at once.
    """
    for text, name in zip(legend.get_texts(), shown_all(names), strict=True):
        text.set_text(name)


def _common_folder(names: Sequence[str]) -> int:
    """The characters of the folder that all names lie in, with its slash."""
    folders = zip(*(name.split("/")[:-1] for name in names), strict=False)
    common = itertools.takewhile(lambda parts: len(set(parts)) == 1, folders)
    return sum(len(parts[0]) + 1 for parts in common)


def _cut(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    tail = longest // 2
    return f"{name[: longest - tail - 1]}…{name[len(name) - tail :]}"


def _drawable(name: str) -> str:
    """The name with what would break its line, or the font does not have, as an escape."""
    characters = _characters(tuple(_font_files()))
    return "".join(
        c if ord(c) in characters else c.encode("unicode_escape").decode("ascii")
        for c in printable(name)
    )


def _font_files() -> list[str]:
    import matplotlib
    from matplotlib.font_manager import FontProperties, findfont

    return [findfont(FontProperties(family=[name])) for name in matplotlib.rcParams["font.family"]]


@functools.cache
def _characters(files: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    return frozenset().union(*(get_font(file).get_charmap() for file in files))
