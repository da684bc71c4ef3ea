"""Tracers where values are needed: an error that says what to do, in place of the one of JAX.

Nothing here imports JAX: without it there are no tracers.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

INSIDE = (
    "call it outside of them; inside, jf.statistics.quality and jf.training.measure_layers measure "
    "layers"
)
"""The remedy for a function of the host that is called under jit."""


def is_traced(value: Any) -> bool:
    """Return whether a value is a tracer, as arguments are inside jit, vmap and grad."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.core.Tracer)


def kind_of(value: Any) -> str:
    """Return what a value is, for an error: its type, or that it is not computed."""
    return "an array under jit, vmap or grad" if is_traced(value) else type(value).__name__


def check_computed(values: Iterable[Any], subject: str, remedy: str) -> None:
    """Raise ValueError if one of the values is a tracer; the message names what they are values of."""
    if any(map(is_traced, values)):
        raise ValueError(
            f"{subject} is read on the host: expected computed arrays, got arrays under jit, vmap or grad; "
            f"{remedy}"
        )


def check_static(**arguments: Any) -> None:
    """Raise TypeError where an argument that decides what is computed is a tracer or holds one."""
    for name, value in arguments.items():
        values = value if isinstance(value, tuple | list) else (value,)
        if any(map(is_traced, values)):
            raise TypeError(
                f"{name}: expected a static value, got one under jit, vmap or grad; pass it as "
                "a plain Python value"
            )


@contextlib.contextmanager
def no_values_under_tracing(function: str) -> Iterator[None]:
    """Turn the errors of JAX on tracers whose values are needed into one sentence."""
    jax = sys.modules.get("jax")
    errors = (jax.errors.JAXTypeError, jax.errors.JAXIndexError) if jax else ()
    try:
        yield
    except errors as error:
        raise ValueError(
            f"{function} needs the values of an array here, which are not computed under jit, vmap and "
            "grad; call it outside of them, and pass the Kernels in"
        ) from error
