"""The budget of opening a checkpoint: every limit refuses, names itself, and says how to raise it."""

import threading
import time

import numpy as np
import pytest

import jfilters
from jfilters.errors import CheckpointError
from jfilters.io import _budget, _json
from jfilters.io._budget import Budget, budget, budgeted


def test_memory_is_drawn_until_it_is_gone(monkeypatch):
    monkeypatch.setenv("JFILTERS_OPEN_MEMORY", "1")
    limits = Budget("file")
    limits.take(memory=1_000_000)
    message = "file: opening it takes more than 1 MB of memory; .* JFILTERS_OPEN_MEMORY to more"
    with pytest.raises(CheckpointError, match=message):
        limits.take(memory=1)


def test_what_is_temporary_is_returned():
    limits = Budget()
    before = limits.memory
    with pytest.raises(CheckpointError, match="memory"), limits.temporary():
        limits.take(memory=before + 1)
    assert limits.memory == before


def test_elements_are_counted(monkeypatch):
    monkeypatch.setattr(_budget, "ELEMENTS", 10)
    with pytest.raises(CheckpointError, match="more than 10 elements"):
        Budget().take(elements=11)


def test_nesting_is_bounded():
    Budget().check_nesting(_budget.NESTING)
    with pytest.raises(CheckpointError, match="more than 64 nested levels"):
        Budget().check_nesting(_budget.NESTING + 1)


def test_time_is_bounded_and_grows_with_the_files(monkeypatch):
    monkeypatch.setattr(_budget, "SECONDS", 0.05)
    limits, large = Budget("file"), Budget("file")
    large.add_file("a", 10_000_000)
    stop = time.thread_time() + 0.1
    while time.thread_time() < stop:
        pass
    message = r"file: opening it takes more than 0\.05 s of computing; .* JFILTERS_OPEN_SECONDS"
    with pytest.raises(CheckpointError, match=message):
        limits.check_time()
    large.check_time()


def test_many_elements_ask_for_the_time(monkeypatch):
    monkeypatch.setattr(_budget, "SECONDS", 1e-9)
    with pytest.raises(CheckpointError, match="s of computing"):
        Budget().take(elements=_budget._TICK)


def test_waiting_costs_no_time(monkeypatch):
    monkeypatch.setattr(_budget, "SECONDS", 0.1)
    limits = Budget()
    time.sleep(0.2)
    limits.check_time()


@pytest.mark.parametrize(("unpacked", "stored"), [(1 << 28, 0), (1 << 30, 6 << 20)])
def test_expansion_is_bounded(unpacked, stored):
    Budget().check_expansion(unpacked, stored, "an array")
    with pytest.raises(CheckpointError, match=r"an array of .* bytes from .* stored"):
        Budget().check_expansion(2 * unpacked, stored, "an array")


@pytest.mark.parametrize("text", ["-1", "0", "nan", "inf", "much"])
@pytest.mark.parametrize("name", ["JFILTERS_OPEN_MEMORY", "JFILTERS_OPEN_SECONDS"])
def test_settings_are_positive_numbers(monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=f"expected a positive number in {name}"):
        Budget().check_time()


def test_one_checkpoint_has_one_budget_in_its_own_thread():
    with budgeted("outer") as outer, budgeted("inner") as inner:
        assert inner is outer is budget("other")
        others = []
        thread = threading.Thread(target=lambda: others.append(budget("other")))
        thread.start()
        thread.join()
    assert others[0] is not outer
    assert budget("x") is not budget("x")


def test_what_is_read_later_is_not_counted(monkeypatch):
    """A reader that keeps the budget is used by other threads, hours later."""
    with budgeted("file") as limits:
        pass
    monkeypatch.setattr(_budget, "SECONDS", 1e-9)
    limits.take(memory=1 << 40, elements=1 << 40)
    limits.check_time()


def test_the_estimate_of_json_is_one_from_above():
    """Measured with the allocator of Python, for texts of one kind each."""
    import tracemalloc

    texts = {
        "keys": "{" + ",".join(f'"key{i}":{i}.5' for i in range(20_000)) + "}",
        "lists": '{"a":[' + "[]," * 20_000 + "[]]}",
        "dicts": '{"a":[' + '{"b":0.5},' * 20_000 + "{}]}",
        "numbers": '{"a":[' + "1.5," * 20_000 + "0]}",
        "wide": '{"a":"' + "x" * 100_000 + '\U0001f600"}',
    }
    for name, text in texts.items():
        data = text.encode()
        limits = Budget()
        before = limits.memory
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_json, "budget", lambda path, limits=limits: limits)
            tracemalloc.start()
            _json.parsed_json(data, "file")
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak <= before - limits.memory, name


def test_the_limits_can_be_raised(tmp_path, monkeypatch):
    np.save(tmp_path / "w.npy", np.ones((2, 1, 3, 3), np.float32))
    monkeypatch.setenv("JFILTERS_OPEN_MEMORY", "0.001")
    with pytest.raises(CheckpointError, match="JFILTERS_OPEN_MEMORY"):
        jfilters.open_checkpoint(tmp_path / "w.npy", axes="OIHW")
    monkeypatch.setenv("JFILTERS_OPEN_MEMORY", "1")
    assert len(jfilters.open_checkpoint(tmp_path / "w.npy", axes="OIHW").layers) == 1
