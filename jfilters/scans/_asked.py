"""Questions as methods of a scan, for notebooks.

The questions lie above this room, which may not import them. The package's face, which sees all rooms,
introduces them here by name; each is looked up when it is first asked.
"""

import functools
from collections.abc import Callable
from typing import Any, overload

Question = Callable[..., Any]

_lookup: dict[str, Callable[[], Question]] = {}


def introduce(questions: dict[str, Callable[[], Question]]) -> None:
    """Tell scans which functions answer their questions, each behind a function that imports it.

    Args:
        questions: for the name of a method a function without arguments that returns the function to call
            with the scan as its first argument.
    """
    _lookup.update(questions)


class Asked:
    """A method of `Scan` that calls the question of its name with the scan, under the question's own
    docstring."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, scan: None, owner: type) -> "Asked": ...
    @overload
    def __get__(self, scan: object, owner: type) -> Question: ...
    def __get__(self, scan: object, owner: type) -> "Asked | Question":
        """Return the question bound to a scan; its signature is the question's without the scan."""
        if scan is None:
            return self
        question = _lookup[self._name]()
        method = functools.update_wrapper(functools.partial(question, scan), question)
        del method.__wrapped__  # signatures would be read from there, with the scan among them
        return method
