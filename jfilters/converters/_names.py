"""What the name of a stored array says: its bias, its wrapper, and whether it can be a weight."""

import dataclasses
import functools
import os
import re
from collections.abc import Iterable, Sequence

from ._stored import StoredArray

_WEIGHT = re.compile(
    r"(^|[./_])(parametrizations\.weight\.original\d?|weight(_orig|_v)?|kernel|w)$"
)
_TRANSPOSED = re.compile(r"transpose|deconv|upconv|up_conv|convt(?![a-z])|conv_t(?![a-z])", re.I)
_EMA = re.compile(r"(^|[^a-z])(ema|moving_average|exponential_moving)([^a-z]|$)", re.I)
_COLLECTION = re.compile(r"(\w+_)?params(_\w+)?")
_WRAPPERS = {"model", "module", "net", "network", "state_dict", "model_state_dict", "params"}
_PREFIXES = ("module", "_orig_mod")
_COMMON = re.compile(r"^(?:(?:module|_orig_mod)\.)*")
_OPTIMIZERS = {"optimizer", "optimizers", "optimizer_state", "optimizer_states", "opt_state", "opt"}
_OPTIMIZERS |= {"optimizer_state_dict", "optim", "optim_state", "optim_state_dict", "opt_states"}
_MOMENTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg"}

_NO_WEIGHTS = (
    (r"pos(ition|itional)?_?(emb|enc|table|bias)|rel(ative)?_pos|rel_[hw]$", "position table"),
    (r"relative_|coord|grid|anchor|prior", "coordinate buffer"),
    (r"mask", "mask"),
    (r"token|quer(y|ies)$|embeddings?$|codebook|prototype", "embedding"),
    (r"(running|moving)_(mean|var|std)|(^|_)(mean|std|var|variance)$", "running statistics"),
    (r"(^|_)(bias|scale|gamma|beta|gain|alpha)$|weight_g$|layer_?scale", "bias or scale"),
)  # fmt: skip
_PROJECTIONS = {"query", "key", "value", "out", "qkv"}


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
    found = _WEIGHT.search(name)
    if found is None:
        return None
    return name[: found.start()] + found[1] + ("b" if found[2] == "w" else "bias")


def looks_transposed(name: str) -> bool:
    """Whether a component of the name speaks of a transposed convolution."""
    return _TRANSPOSED.search(name) is not None


def no_weight(array: StoredArray) -> str | None:
    """Why the name says that this is no convolution weight; None if it does not say so."""
    *outer, own = parts(array.name.lower())
    if len(array.shape) == 3 and own == "kernel" and outer and outer[-1] in _PROJECTIONS:
        return "attention projection: dense (3-D)"
    if "convlocal" in array.name.lower():
        return "locally connected: no kernel is shared"
    if "parametrizations" in outer and own == "original0":
        return "bias or scale"
    return _no_weight_called(own)


@functools.lru_cache(maxsize=1024)
def _no_weight_called(own: str) -> str | None:
    return next((reason for pattern, reason in _NO_WEIGHTS if re.search(pattern, own)), None)


def is_optimizer_state(array: StoredArray) -> bool:
    """Whether an array belongs to an optimizer rather than to a network."""
    path = parts(f"{array.network}.{array.name}".strip(".").lower())
    optax = path[0].isdecimal() and path[1:2] in (["mu"], ["nu"], ["trace"])
    return optax or path[0] in _OPTIMIZERS or path[-1] in _MOMENTS


def moving_averages(arrays: Sequence[StoredArray]) -> dict[int, str]:
    """The arrays that are moving-average copies of others, by index, with the names of those."""
    if not any(_EMA.search(qualified(array)) for array in arrays):
        return {}
    plain = [(_unwrapped(array), array.shape) for array in arrays]
    copies = [_EMA.search(_wrapper(array)) is not None for array in arrays]
    originals = {
        key: qualified(array)
        for key, copy, array in zip(plain, copies, arrays, strict=True)
        if not copy
    }
    return {
        index: originals[key]
        for index, (key, copy) in enumerate(zip(plain, copies, strict=True))
        if copy and key in originals
    }


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
    short = (
        dataclasses.replace(array, name=array.name.removeprefix(prefixes[array.network]))
        for array in arrays
    )
    return [array.name if shown == {array.network} else qualified(array) for array in short]


def common_prefix(names: Iterable[str]) -> str:
    """The wrapper's prefix, such as "module.", that all names of a network share."""
    # Character by character is what is meant.
    shared = os.path.commonprefix(list(names))  # noqa: RUF071
    return _COMMON.findall(shared)[0]


def _is_wrapper(part: str) -> bool:
    return part in _WRAPPERS or part in _PREFIXES or _EMA.search(part) is not None


def _wrapper(array: StoredArray) -> str:
    """The leading components that wrap a network, which may say that it is a moving average."""
    path = parts(qualified(array))
    count = next((i for i, part in enumerate(path) if not _is_wrapper(part)), len(path))
    return ".".join([array.network, *path[:count]])


def _unwrapped(array: StoredArray) -> str:
    path = parts(array.name)
    count = next((i for i, part in enumerate(path) if not _is_wrapper(part)), len(path))
    # Without dots: some moving averages keep their names so.
    return "".join(path[count:])
