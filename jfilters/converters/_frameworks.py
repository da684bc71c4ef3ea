"""The framework behind an object in memory, told by its class: none of them is imported for that."""

from typing import Any

import ml_dtypes
import numpy as np


def is_torch_module(value: Any) -> bool:
    """Return whether a value is a torch.nn.Module."""
    return _descends_from(value, "Module", "torch")


def is_torch_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of torch."""
    return _descends_from(value, "Tensor", "torch")


def is_keras_model(value: Any) -> bool:
    """Return whether a value is a model or a layer of Keras, of any version and backend."""
    return any(_descends_from(value, "Layer", package) for package in ("keras", "tf_keras"))


def numpy_of(tensor: Any) -> np.ndarray:
    """Return the values of a tensor of torch in its own dtype, on the host."""
    values = tensor.detach().cpu()
    if str(values.dtype) == "torch.bfloat16":
        import torch

        return values.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return values.numpy()


def _descends_from(value: Any, name: str, package: str) -> bool:
    return any(
        base.__name__ == name and base.__module__.partition(".")[0] == package
        for base in type(value).__mro__
    )
