"""Arrays with the shape of a weight that are none: states of optimizers, gradients, masks, tables.

Every component of a name is looked at, in any format. A word that modules are called by as well counts only
at the top of a checkpoint, where the arrays below it repeat the names and shapes of others.
"""

import functools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ._names import is_wrapper, parts, qualified
from ._stored import StoredArray

OPTIMIZER, GRADIENTS, MASK = "optimizer state", "gradients or statistics of them", "mask"
DERIVED = "derived in training from the array that it is named after"

_OPTIMIZER_NAME = (
    r"(\w+_)?(optim(izer)?s?|opts?)(_?(states?|dict|vars?|slots?))*"
    r"(_?([a-z]|gen\w*|dis\w*|net\w?|\d+))?"
)
_GRADIENT_NAME = (
    r"((acc|accum\w*|param|weight|prev|old|last|mean|avg|sum)_)?grad(ient)?s?"
    r"(_?(acc|accum|sq|buf\w*|sum|avg))?"
)
_STRONG = (
    (_OPTIMIZER_NAME, OPTIMIZER),
    (r"(max_)?exp_avgs?(_sq)?|momentum_buffers?|square_avgs?|acc_deltas?|grad_avgs?|exp_inf", OPTIMIZER),
    (_GRADIENT_NAME, GRADIENTS),
    (r"(\w+_)?(fishers?|hessians?)(_\w+)?|ewc_\w+", GRADIENTS),
)  # fmt: skip
_WEAK = (
    (r"(\w+_)?masks?", MASK),
    (r"(\w+_)?(moment(a|um|ums|s)?|velocit(y|ies)|traces?|importances?|omegas?)", OPTIMIZER),
)  # fmt: skip
_PAIRS = {"mu": "nu", "nu": "mu", "m": "v", "v": "m"}
_CHAINED = {"mu", "nu", "trace"}
_STATES = (
    r"mom(entum)?|grads?|gradients?|fisher|velocity|exp_avg|accum\w*|ewc|slot|importance|omega|adam"
    r"|rmsprop|adagrad|ftrl|ema|exponential_?moving\w*|moving_?average|avg|averaged?|shadow|old|prev|backup"
    r"|slow"
)
_STATE = re.compile(_STATES)
_DERIVED = re.compile(rf"[._]\w*?({_STATES})[_\w]*$")
"""Endings of arrays that are named after the one that they are made from, as TensorFlow names its slots."""

_OWN = (
    (r"pos(ition|itional)?_?(emb|enc|table|bias)|rel(ative)?_pos|rel_[hw]$", "position table"),
    (r"relative_|coord|grid|anchor|prior", "coordinate buffer"),
    (r"mask", MASK),
    (r"token|quer(y|ies)$|embeddings?$|codebook|prototype", "embedding"),
    (r"(running|moving)_(mean|var|std)|(^|_)(mean|std|var|variance)$", "running statistics"),
    (r"(^|_)(bias|scale|gamma|beta|gain|alpha)$|weight_g$|layer_?scale", "bias or scale"),
)  # fmt: skip
_PROJECTIONS = {"query", "key", "value", "out", "qkv"}


def named_reason(array: StoredArray) -> str | None:
    """The reason why the name says that this is no convolution weight; None if it does not say so."""
    *outer, leaf = parts(array.name.lower())
    if len(array.shape) == 3 and leaf == "kernel" and outer and outer[-1] in _PROJECTIONS:
        return "attention projection: dense (3-D)"
    if "convlocal" in array.name.lower():
        return "locally connected: no kernel is shared"
    if leaf == "kernel" and any(part.startswith("densegeneral") for part in outer):
        return "dense over several axes: no convolution"
    return _of_own_name(leaf)


@functools.lru_cache(maxsize=1024)
def _of_own_name(leaf: str) -> str | None:
    return next((reason for pattern, reason in _OWN if re.search(pattern, leaf)), None)


def training_state(arrays: Sequence[StoredArray]) -> dict[int, str]:
    """The arrays that training keeps beside the weights, by index, with the reasons."""
    paths = [tuple(parts(qualified(array).lower())) for array in arrays]
    # Names share their components: what each says by itself is asked once.
    components = set().union(*paths)
    reasons = {}
    if not components.isdisjoint(_CHAINED) or any(map(_of_part, components)):
        reasons = {i: reason for i, path in enumerate(paths) if (reason := path_reason(path))}
    if not components.isdisjoint(_PAIRS):
        reasons |= dict(_paired(arrays, paths))
    if any(map(_STATE.search, components)):
        reasons |= dict(_derived(arrays))
    if any(map(_of_weak, components)):
        reasons |= dict(_beside_the_network(arrays, paths, reasons))
    return reasons


def path_reason(path: Sequence[str]) -> str | None:
    """The reason that a component of a name, in lower case, gives whatever lies beside the array."""
    for part in path:
        if reason := _of_part(part):
            return reason
    # optax chains its states: (ScaleByAdamState(count, mu, nu), ...).
    for at, part in enumerate(path[:-1]):
        is_chained = at == 0 or len(path) > at + 3
        if part.isdecimal() and path[at + 1] in _CHAINED and is_chained:
            return OPTIMIZER
    return None


@functools.lru_cache(maxsize=4096)
def _of_part(part: str) -> str | None:
    return next((reason for pattern, reason in _STRONG if re.fullmatch(pattern, part)), None)


@functools.lru_cache(maxsize=4096)
def _of_weak(part: str) -> str | None:
    return next((reason for pattern, reason in _WEAK if re.fullmatch(pattern, part)), None)


def _paired(
    arrays: Sequence[StoredArray], paths: Sequence[tuple[str, ...]]
) -> Iterator[tuple[int, str]]:
    """First and second moments that lie side by side under the letters of the papers."""
    shapes = {path: array.shape for path, array in zip(paths, arrays, strict=True)}
    for index, path in enumerate(paths):
        for at, part in enumerate(path[:-1]):
            other = (*path[:at], _PAIRS.get(part, ""), *path[at + 1 :])
            if shapes.get(other) == arrays[index].shape:
                yield index, OPTIMIZER


def _derived(arrays: Sequence[StoredArray]) -> Iterator[tuple[int, str]]:
    """Arrays named after another of the same shape, as `conv1_w_momentum` after `conv1_w`."""
    stems = {index: name for index, name in enumerate(map(_flat, arrays)) if _DERIVED.search(name)}
    if not stems:
        return
    shapes = {_flat(array): array.shape for array in arrays}
    for index, name in stems.items():
        ends = [at for at, letter in enumerate(name) if letter in "._"]
        if any(shapes.get(name[:end]) == arrays[index].shape for end in ends):
            yield index, DERIVED


def _flat(array: StoredArray) -> str:
    # Buffers cannot have dots in their names: the names of parameters are spelled with underscores there.
    return qualified(array).lower().replace("__", ".").replace("/", ".")


def _beside_the_network(
    arrays: Sequence[StoredArray], paths: Sequence[tuple[str, ...]], reasons: dict[int, str]
) -> Iterator[tuple[int, str]]:
    """Trees at the top of a checkpoint that are called after masks or moments and repeat another tree."""
    marked = {
        index: (at, reason)
        for index, path in enumerate(paths)
        if index not in reasons and len(arrays[index].shape) >= 3
        for at, reason in [_top_word(path)]
        if reason
    }
    if not marked:
        return
    plain = {
        (path[at:], array.shape)
        for index, (path, array) in enumerate(zip(paths, arrays, strict=True))
        if index not in marked
        for at in range(len(path))
    }
    for index, (at, reason) in marked.items():
        tail = paths[index][at + 1 :]
        # A module of that name has its weight right below it.
        is_tree = len(tail) > 1 or at < len(parts(arrays[index].network)) * bool(
            arrays[index].network
        )
        repeats = is_tree and (tail, arrays[index].shape) in plain
        if repeats and (reason != MASK or _is_binary(arrays[index])):
            yield index, reason


def _top_word(path: tuple[str, ...]) -> tuple[int, str | None]:
    """The place of the first component that wraps nothing else, and the reason that it gives."""
    at = next((i for i, part in enumerate(path) if not is_wrapper(part)), 0)
    return at, _of_weak(path[at])


def _is_binary(array: StoredArray) -> bool:
    values = array.values()
    return values is not None and bool(np.isin(values.astype(np.float32), (0, 1)).all())
