"""The faces of converters and io: every name loads, and the examples of what users call run."""

import doctest
import importlib

import pytest

from jfilters import converters, io
from jfilters.converters import internal

FACE = (
    *("Checkpoint", "FilterPopulation", "Format", "Skipped", "StoredLayer"),
    *("detect", "from_module", "from_params", "load", "open_checkpoint", "population"),
    *("save_kernels", "write_filterdb"),
)
MODULES = sorted({getattr(converters, name).__module__ for name in FACE})


@pytest.mark.parametrize("room", [converters, internal, io], ids=lambda room: room.__name__)
def test_every_name_of_a_face_loads(room):
    assert all(getattr(room, name) is not None for name in dir(room))


def test_names_for_other_rooms_are_the_same_objects():
    assert internal.location is io.location


@pytest.mark.parametrize("module", [*MODULES, "jfilters.kernels", "jfilters.layers"])
def test_examples_run(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("name", FACE)
def test_what_users_call_has_an_example(name):
    assert ">>>" in getattr(converters, name).__doc__
