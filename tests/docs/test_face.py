"""Every name of the face has an example, and the example runs."""

import doctest
import inspect
import types

import pytest

import jfilters

NAMES = [
    name for name in jfilters.__all__ if not isinstance(getattr(jfilters, name), types.ModuleType)
]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_name_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = getattr(jfilters, name)
    assert inspect.isclass(value) or callable(value)
    examples = doctest.DocTestFinder(recurse=False).find(value, name)
    assert any(test.examples for test in examples), f"{name} has no example"
    messages: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    for test in examples:
        runner.run(test, out=messages.append)
    assert runner.failures == 0, "".join(messages)
