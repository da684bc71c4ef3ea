"""One plan for a job: process 0 lists, unequal processes are refused, and what differs here has failed.

The processes are threads here, which exchange their bytes as those of a job do.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import Options, Processes, _run, _shared_plan, scan, scan_into
from jfilters.engine._shared_plan import shared_basis, shared_plan, shared_table
from jfilters.scans import read_metadata
from jfilters.statistics import Basis

TABLES = ("arrays.safetensors", "layers.parquet", "models.parquet", "scan.json")


class Exchange:
    """What the threads of one job have in common."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count, timeout=60)
        self.items = [{}] * count


class Thread(Processes):
    """One process of a job of threads."""

    def __init__(self, index, exchange):
        super().__init__(index, len(exchange.items))
        self._exchange = exchange

    def union(self, items):
        self._exchange.items[self.index] = items
        self._exchange.barrier.wait()
        union = {k: v for items in self._exchange.items for k, v in items.items()}
        self._exchange.barrier.wait()
        return union


def run(count, task):
    """The results of a task of (processes) in every process of a job, or their errors."""
    exchange = Exchange(count)

    def result(index):
        try:
            return task(Thread(index, exchange))
        except (ValueError, OSError) as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(result, range(count)))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for seed in range(5):
        save(tmp_path / f"in/{seed}.safetensors", seed)
    (tmp_path / "in/notes.txt").write_text("text")
    return tmp_path / "in"


def save(path, seed, n=8):
    weights = np.random.default_rng(seed).standard_normal((n, 16, 3, 3)).astype(np.float32)
    save_file({"conv.weight": weights}, path, metadata={"format": "pt"})


def scanned(folder, processes, options=None, **arguments):
    return scan(
        folder,
        options or Options(sha256=False),
        progress=False,
        engine="host",
        processes=processes,
        **arguments,
    )


def test_only_process_0_lists_the_folder(folder, tmp_path, monkeypatch):
    alone = scan(folder, progress=False, engine="host")
    listing, listed_by = _run.plan, []
    job_of_thread = threading.local()

    def plan(roots):
        listed_by.append(job_of_thread.index)
        result = listing(roots)
        save(folder / "later.safetensors", 9)  # a live run goes on
        return result

    monkeypatch.setattr(_run, "plan", plan)

    def task(processes):
        job_of_thread.index = processes.index
        return scan_into(
            tmp_path / "out", folder, progress=False, engine="host", processes=processes
        )

    scans = run(3, task)
    assert listed_by == [0]
    for result in scans:
        assert result.record["checkpoints"] == alone.record["checkpoints"]
        assert result.record["ignored"] == alone.record["ignored"]
        assert result.layer_table.equals(alone.layer_table)
    alone.save(tmp_path / "alone")
    for name in TABLES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def gone(path):
    path.unlink()


def longer(path):
    save(path, 0, n=16)


def rewritten(path):
    save(path, 77)
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [(gone, "it is gone here"), (longer, "differs in size or time"), (rewritten, "size or time")],
)
def test_a_checkpoint_that_differs_from_the_plan_has_failed(folder, monkeypatch, change, reason):
    packing = _shared_plan._packed

    def packed(*plan):
        data = packing(*plan)
        change(folder / "2.safetensors")
        return data

    monkeypatch.setattr(_shared_plan, "_packed", packed)
    scans = run(2, lambda processes: scanned(folder, processes))
    for result in scans:
        statuses = {x["model"]: x["status"] for x in result.record["checkpoints"]}
        assert statuses.pop("2.safetensors") == "failed"
        assert set(statuses.values()) == {"ok"}
        assert reason in result.record["checkpoints"][2]["reason"]
        assert "2.safetensors" not in result.model_names


def test_a_copy_with_the_times_of_the_original_is_read(folder, tmp_path):
    copies = tmp_path / "copies"

    def plan():
        planned = _run.plan([folder])
        folder.rename(tmp_path / "elsewhere")
        copies.mkdir()
        for path in (tmp_path / "elsewhere").iterdir():
            (copies / path.name).write_bytes(path.read_bytes())
            times = path.stat()
            os.utime(copies / path.name, ns=(times.st_atime_ns, times.st_mtime_ns))
        copies.rename(folder)
        return planned

    def task(processes):
        # The stamps are those of the originals.
        return shared_plan(plan, folder, processes)

    (_, entries, _), _ = run(2, lambda p: task(p))
    assert {entry.status for entry in entries} == {"ok"}


def test_a_failure_of_planning_is_the_same_error_everywhere(tmp_path):
    errors = run(3, lambda processes: scanned(tmp_path / "nowhere", processes))
    assert all(isinstance(error, ValueError) for error in errors)
    assert len({str(error) for error in errors}) == 1
    assert "no such file or folder" in str(errors[2])


def test_a_folder_in_use_is_told_to_all(folder, tmp_path, monkeypatch):
    def refused(folder):
        raise BlockingIOError(11, "another scan is writing there", str(folder))

    monkeypatch.setattr("jfilters.engine._folder.locked", refused)
    errors = run(2, lambda p: scan_into(tmp_path / "o", folder, processes=p, engine="host"))
    assert all("another scan is writing there" in str(error) for error in errors)
    assert all(isinstance(error, OSError) for error in errors)


WEIGHTS = {"conv": np.ones((2, 2, 3, 3), np.float32)}
BASIS = Basis(np.zeros(9), np.eye(9), np.full(9, 1 / 9))


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({}, {"options": Options(bins=50)}, "the option bins: process 0 has 70, process 1 has 50"),
        ({}, {"options": Options(strict=True)}, "the option strict"),
        ({}, {"basis": BASIS}, "the basis: process 0 has none"),
        ({"basis": BASIS}, {"basis": BASIS._replace(mean=np.ones(9))}, "the basis"),
        ({}, {"metadata": "meta.csv"}, "the metadata: process 0 has none, process 1 has a file"),
        ({}, {"checkpoints": "elsewhere"}, "the checkpoints"),
        ({"checkpoints": {"a": WEIGHTS}}, {"checkpoints": {"b": WEIGHTS}}, "the network 'a'"),
        (
            {"checkpoints": {"a": WEIGHTS}},
            {"checkpoints": {"a": {"conv": WEIGHTS["conv"] * 2}}},
            "the network 'a': process 0 has 144 bytes",
        ),
    ],
)
def test_unequal_processes_are_refused_on_all(folder, first, second, reason):
    def task(processes):
        arguments = {"checkpoints": folder} | (second if processes.index == 1 else first)
        options = arguments.pop("options", Options())
        return scanned(arguments.pop("checkpoints"), processes, options, **arguments)

    errors = run(3 if "checkpoints" not in first else 2, task)
    assert all(isinstance(error, ValueError) for error in errors)
    assert {str(error) for error in errors} == {str(errors[0])}
    assert reason in str(errors[0])
    assert "process 1 has" in str(errors[0])


@pytest.mark.parametrize("name", ["jfilters", "jax", "numpy", "python", "the method"])
def test_unequal_versions_are_refused_on_all(folder, monkeypatch, name):
    index = threading.local()
    versions = _run.versions

    def changed():
        return versions() | ({name: "0.0.1"} if index.value == 1 and name != "the method" else {})

    def task(processes):
        index.value = processes.index
        if name == "the method" and processes.index == 1:
            check = {f"the version of {name}": "8"}
            return processes.check_equal(check)
        return scanned(folder, processes)

    monkeypatch.setattr(_run, "versions", changed)
    errors = run(2, task)
    assert all("process 1 has" in str(error) for error in errors)
    if name != "the method":
        assert f"differ in the version of {name}" in str(errors[1])


def test_networks_in_memory_and_paths_are_read_by_one_process_each(folder):
    networks = {"memory": WEIGHTS, "file": folder / "1.safetensors", "folder": folder}
    alone = scan(networks, Options(axes="OIHW"), progress=False, engine="host")
    scans = run(2, lambda p: scanned(networks, p, Options(axes="OIHW")))
    for result in scans:
        assert result.record["checkpoints"] == alone.record["checkpoints"]
        assert result.layer_table.equals(alone.layer_table)


def test_the_file_of_metadata_lies_at_process_0_alone(tmp_path):
    file = tmp_path / "meta.csv"
    file.write_text("model,task,size\na*,caf\u00e9,9007199254740993\nb,,1.5\n")
    expected = read_metadata(file)

    def task(processes):
        path = file if processes.index == 0 else Path("nowhere.csv")
        return shared_table(path, processes)

    assert run(2, task) == [expected, expected]


def test_the_basis_of_process_0_is_that_of_all():
    rng = np.random.default_rng(0)
    basis = Basis(*(rng.normal(size=shape) for shape in (9, (9, 9), 9)))
    none = Basis(np.zeros(9), np.zeros((9, 9)), np.zeros(9))
    for result in run(2, lambda p: shared_basis(lambda: basis if p.index == 0 else none, p)):
        for values, expected in zip(result, basis, strict=True):
            np.testing.assert_array_equal(values, expected)
    assert run(2, lambda p: shared_basis(lambda: None, p)) == [None, None]


def test_names_of_any_bytes_reach_all_processes(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.safetensors")
    save(tmp_path / "x", 0)
    os.rename(tmp_path / "x", path)
    first, second = run(2, lambda processes: scanned(folder, processes))
    assert first.record["checkpoints"] == second.record["checkpoints"]
    assert first.record["checkpoints"][0]["status"] == "ok"
