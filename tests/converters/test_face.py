"""The faces of converters and io: every name loads, and the examples of what users call run."""

import doctest
import importlib

import pytest

from jfilters import converters, io
from jfilters.converters import internal

FACE = (
    *("Checkpoint", "Format", "Skipped", "StoredLayer"),
    *("detect", "from_module", "from_params", "load", "open_checkpoint"),
    *("save_kernels", "write_filterdb"),
)
# Of the room's second face, and with an example as well.
POPULATION = ("FilterPopulation", "population")
NAMES = {name: getattr(converters, name) for name in FACE}
NAMES |= {name: getattr(internal, name) for name in POPULATION}
MODULES = sorted({value.__module__ for value in NAMES.values()})


@pytest.mark.parametrize("room", [converters, internal, io], ids=lambda room: room.__name__)
def test_every_name_of_a_face_loads(room):
    assert all(getattr(room, name) is not None for name in dir(room))


def test_names_for_other_rooms_are_the_same_objects():
    assert converters.location is io.location
    assert internal.is_remote is io.is_remote


@pytest.mark.parametrize("module", [*MODULES, "jfilters.kernels", "jfilters.layers"])
def test_examples_run(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("name", NAMES)
def test_what_users_call_has_an_example(name):
    assert ">>>" in NAMES[name].__doc__
