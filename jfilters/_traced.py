"""Tracers where values are needed: an error that says what to do, in place of the one of JAX.

Nothing here imports JAX: without it there are no tracers.
"""

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

INSIDE = (
    "call it outside of them; inside, jf.statistics.quality and jf.training.measure_layers measure "
    "layers"
)
"""The remedy for a function of the host that is called under jit."""


def is_traced(value: Any) -> bool:
    """Return whether a value is a tracer, as arguments are inside jit, vmap and grad."""
    # Another thread may be importing JAX: until its classes are there, nothing is traced.
    tracer = getattr(sys.modules.get("jax.core"), "Tracer", None)
    return tracer is not None and isinstance(value, tracer)


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


def on_host(remedy: str) -> Callable[[Function], Function]:
    """Refuse traced arguments of a function that runs on the host, with the `remedy` in one sentence.

    The check looks at the arguments and inside tuples, lists, dicts and records; it imports no JAX.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            if "jax" in sys.modules and any(map(is_traced, _leaves([*args, *kwargs.values()]))):
                names = ", ".join(_traced_names(function, args, kwargs))
                raise TypeError(
                    f"{function.__name__} runs on the host and cannot be traced (jit, vmap, grad): "
                    f"{names}: expected values, got traced ones; {remedy}"
                )
            return function(*args, **kwargs)

        checked.host_remedy = remedy  # pyright: ignore[reportAttributeAccessIssue]
        return checked  # pyright: ignore[reportReturnType]

    return decorate


@contextlib.contextmanager
def no_values_under_tracing(function: str) -> Iterator[None]:
    """Turn the errors of JAX on tracers whose values are needed into one sentence."""
    jax_errors = sys.modules.get("jax.errors")
    names = ("JAXTypeError", "JAXIndexError")
    errors = tuple(getattr(jax_errors, name) for name in names if hasattr(jax_errors, name))
    try:
        yield
    except errors as error:
        raise ValueError(
            f"{function} needs the values of an array here, which are not computed under jit, vmap and "
            "grad; call it outside of them, and pass the Kernels in"
        ) from error


def _traced_names(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[str]:
    bound = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    yield from (name for name, value in bound.items() if any(map(is_traced, _leaves([value]))))


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from _leaves(value.values())
        elif isinstance(value, tuple | list):
            yield from _leaves(value)
        elif isinstance(getattr(value, "weights", None), tuple):
            yield from value.weights
        else:
            yield value
