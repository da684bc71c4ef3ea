"""The weight that a live torch module applies in its next forward pass in eval mode.

Hooks compute a weight before each pass, so that what lies in the module is of the last one. Those of torch
are asked for their result; any other module is run once on zeros, as a copy, to see what it convolves with.
"""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from ...errors import CheckpointError

_PLAIN = "torch.nn.modules.conv"


def source_of(part: Any) -> Any:
    """The tensor that the weight of a module comes from: the same one where modules share it."""
    if is_parametrized(part):
        return (
            part.parametrizations.weight.original
            if hasattr(part.parametrizations.weight, "original")
            else part.parametrizations.weight.original1
        )
    names = ("weight_orig", "weight_v", "weight")
    tensors = (part._parameters.get(name) for name in names)
    tensor = next((tensor for tensor in tensors if tensor is not None), None)
    return part.weight if tensor is None else tensor


def effective_weight(part: Any, name: str) -> Any:
    """The weight that a convolution applies, as a tensor of its own dtype.

    Raises CheckpointError where neither the module nor a pass of its copy tells.
    """
    from torch.nn.parameter import is_lazy

    if is_lazy(part._parameters.get("weight")):
        return part.weight
    if is_parametrized(part):
        with _in_eval_mode(part):
            return part.weight
    hooks = [hook for hook in part._forward_pre_hooks.values() if _weight_of(hook) == "weight"]
    if len(hooks) == 1:
        return _computed(hooks[0], part)
    if _is_plain(part) and not part._forward_pre_hooks:
        return part.weight
    weight = _seen_in_a_pass(part)
    if weight is None and part._parameters.get("weight") is None:
        reason = "its weight is computed in the forward pass, by a hook that is not known"
        remedy = "remove the hook, so that the weight is a parameter again"
        raise CheckpointError(reason, tensor=name, remedy=remedy)
    return part.weight if weight is None else weight


def is_parametrized(part: Any) -> bool:
    """Return whether asking for the weight computes it, which in training mode may change the module."""
    from torch.nn.utils import parametrize

    return parametrize.is_parametrized(part, "weight")


def _is_plain(part: Any) -> bool:
    """Return whether the module convolves with its weight as torch's own classes do."""
    kind = type(part)
    methods = (kind.forward, getattr(kind, "_conv_forward", kind.forward))
    return all(method.__module__ == _PLAIN for method in methods)


def _weight_of(hook: Any) -> str | None:
    """The parameter that one of torch's hooks computes; None for any other hook."""
    from torch.nn.utils import prune
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    if isinstance(hook, SpectralNorm | WeightNorm):
        return hook.name
    return hook._tensor_name if isinstance(hook, prune.BasePruningMethod) else None


def _computed(hook: Any, part: Any) -> Any:
    if hasattr(hook, "apply_mask"):
        return hook.apply_mask(part)
    if hasattr(hook, "n_power_iterations"):
        return hook.compute_weight(part, do_power_iteration=False)
    return hook.compute_weight(part)


@contextlib.contextmanager
def _in_eval_mode(part: Any) -> Iterator[None]:
    """Evaluation mode, in which reading a weight changes nothing."""
    modes = {module: module.training for module in part.modules()}
    part.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _seen_in_a_pass(part: Any) -> Any | None:
    """The weight with which a copy of the module convolves zeros; None if it cannot be run so."""
    import torch

    weights: list[Any] = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if "conv" in getattr(func, "__name__", ""):
                weights.append(kwargs.get("weight", args[1] if len(args) > 1 else None))
            return func(*args, **kwargs)

    shape = tuple(part.weight.shape)
    # Modules of others may raise whatever they like.
    with contextlib.suppress(Exception), Watch():
        twin = copy.deepcopy(part, _detached(part)).eval()
        twin._forward_hooks.clear()
        extents = [
            (size - 1) * step + 1
            for size, step in zip(part.kernel_size, part.dilation, strict=True)
        ]
        twin(part.weight.new_zeros((1, part.in_channels, *extents)))
    fitting = [w for w in weights if isinstance(w, torch.Tensor) and tuple(w.shape) == shape]
    return fitting[0] if len(fitting) == 1 else None


def _detached(part: Any) -> dict[int, Any]:
    """Return stand-ins for results of earlier passes, which torch does not copy with a module."""
    import torch

    attributes = (value for module in part.modules() for value in vars(module).values())
    return {id(value): value.detach() for value in attributes if isinstance(value, torch.Tensor)}
