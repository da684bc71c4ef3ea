"""Facts from the name of a stored array: its bias, its wrapper, and whether it can be a weight."""

import os
import re
from collections.abc import Iterable, Sequence

from ._stored import StoredArray

_WEIGHT = re.compile(
    r"(^|[./_])(parametrizations\.weight\.original\d?|weight(_orig|_v)?|kernel|w)(\[\d+\])*$"
)
_TRANSPOSED = re.compile(
    r"transpose|deconv|(?<![a-z])up_?conv|convt(?![a-z])|(?<![a-z])conv_t(?![a-z])", re.IGNORECASE
)
_COLLECTION = re.compile(r"(\w+_)?params(_\w+)?")
_WRAPPERS = {"model", "module", "net", "network", "state_dict", "model_state_dict", "params"}
_PREFIXES = ("module", "_orig_mod")
_COMMON = re.compile(r"^(?:(?:module|_orig_mod)\.)*")

LONGEST_NAME = 1024
"""Characters of a name; what is done to names takes time and memory in proportion."""


class Distinct:
    """Names, told apart by a number where several things share one."""

    def __init__(self):
        self._count: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        name = name or "unnamed"
        unique = name
        while unique in self._count:
            self._count[name] += 1
            unique = f"{name}#{self._count[name]}"
        self._count[unique] = 1
        return unique


def parts(name: str) -> list[str]:
    """The dotted or slashed components of a name."""
    return name.replace("/", ".").split(".")


def bias_name(name: str) -> str | None:
    """The name that the bias beside a weight of this name would have."""
    match = _WEIGHT.search(name)
    if match is None:
        return None
    number = name[match.end(2) :]
    return name[: match.start()] + match[1] + ("b" if match[2] == "w" else "bias") + number


def looks_transposed(name: str) -> bool:
    """Return whether a component of the name speaks of a transposed convolution."""
    return _TRANSPOSED.search(name) is not None


def qualified(array: StoredArray) -> str:
    """The name of an array with the network that holds it."""
    return f"{array.network}.{array.name}" if array.network else array.name


def split_params(path: Sequence[str]) -> tuple[str, str]:
    """The network and the name that a path through Flax collections means.

    ("generator", "params", "Conv_0", "kernel") is "Conv_0/kernel" of "generator", and
    ("ema_params", "Conv_0", "kernel") is the same of "ema_params".
    """
    at = next((i for i, part in enumerate(path) if _COLLECTION.fullmatch(part)), None)
    if at is None:
        return "", "/".join(path)
    start = at + 2 if path[at + 1 : at + 2] == ("params",) else at + 1
    outer = path[:at] if path[at] == "params" else path[: at + 1]
    return ".".join(outer), "/".join(path[start:])


def display_names(arrays: Sequence[StoredArray], shown: set[str]) -> list[str]:
    """Names without the prefix that all of a network share.

    They are qualified by their network unless it is the only one `shown`.
    """
    members: dict[str, list[str]] = {}
    for array in arrays:
        members.setdefault(array.network, []).append(array.name)
    prefixes = {network: common_prefix(names) for network, names in members.items()}
    short = [array.name.removeprefix(prefixes[array.network]) for array in arrays]
    return [
        name if not array.network or shown == {array.network} else f"{array.network}.{name}"
        for array, name in zip(arrays, short, strict=True)
    ]


def common_prefix(names: Iterable[str]) -> str:
    """The wrapper's prefix, such as "module.", that all names of a network share."""
    # Character by character is what is meant.
    shared = os.path.commonprefix(list(names))  # noqa: RUF071
    return _COMMON.findall(shared)[0]


def is_wrapper(part: str) -> bool:
    """Return whether a component of a name wraps a whole network and says nothing about it."""
    return part in _WRAPPERS or part in _PREFIXES
