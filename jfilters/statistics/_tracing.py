"""Errors that name the argument where a value under trace cannot serve; imports no compiler."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def check_static(**arguments: Any) -> None:
    """Raise TypeError where an argument that has to be static is traced."""
    for name, value in arguments.items():
        if is_traced(value):
            raise TypeError(
                f"{name}: expected a value that is static under jit, got a traced one; give it "
                f"outside of the traced arguments, as with jax.jit(..., static_argnames={name!r})"
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


def is_traced(value: Any) -> bool:
    """Return whether a value is a tracer of JAX, without importing JAX."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.core.Tracer)


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
