"""What tests of the engine share."""

import pytest


@pytest.fixture
def reads(monkeypatch):
    """The names of the checkpoints that a scan opens, in order."""
    from jfilters.engine import _local

    names, original = [], _local.opened

    def counting(entry, options):
        names.append(entry.path.name)
        return original(entry, options)

    monkeypatch.setattr(_local, "opened", counting)
    return names
