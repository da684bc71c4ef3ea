"""Several processes of one job, on loopback: the same tables as one, and a clear end when one is lost."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from jfilters.engine import Options, Processes, join, scan
from jfilters.scans.internal import CACHE

FILES = ("arrays.safetensors", "drift-model.csv", "layers.parquet", "models.parquet", "scan.json")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def folder(tmp_path):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        weights = {
            f"conv{i}.weight": rng.standard_normal((8 + 8 * seed, 16, 3, 3)).astype(np.float32)
            for i in range(3)
        }
        (tmp_path / "in").mkdir(exist_ok=True)
        save_file(weights, tmp_path / f"in/{seed}.safetensors", metadata={"format": "pt"})
    (tmp_path / "in/broken.safetensors").write_bytes(b"1234567")
    return tmp_path / "in"


def told(index, count, port):
    """The options of one process, and its environment, where nobody else tells of the job."""
    return (
        ("--coordinator", f"127.0.0.1:{port}"),
        ("--num-processes", str(count)),
        ("--process-id", str(index)),
    ), {}


def slurm(index, count, port):
    """What srun tells a process; JAX makes the port out of the job's number."""
    return (), {
        "SLURM_JOB_ID": str(port),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
    }


def open_mpi(index, count, port):
    """What mpirun tells a process; JAX makes the port out of the job's number."""
    return (), {
        "OMPI_MCA_orte_hnp_uri": f"{port * 4096}.0;tcp://127.0.0.1:{port}",
        "OMPI_COMM_WORLD_SIZE": str(count),
        "OMPI_COMM_WORLD_RANK": str(index),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(index),
    }


def start(folder, out, index, count, port, *options, launcher=told):
    pairs, environment = launcher(index, count, port)
    command = [
        *(sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(folder)),
        *("--out", str(out), *itertools.chain(*pairs), *options),
    ]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "policy", "launcher"),
    [(2, "data", slurm), (2, "fixed", open_mpi), (4, "fixed", told)],
)
def test_any_number_of_processes_write_the_tables_of_one(folder, tmp_path, count, policy, launcher):
    port, out = free_port(), tmp_path / "out"
    options = ("--range", policy)
    jobs = [start(folder, out, i, count, port, *options, launcher=launcher) for i in range(count)]
    said = [job.communicate(timeout=300) for job in jobs]
    assert [job.returncode for job in jobs] == [1] * count, said  # a checkpoint was refused
    scan(folder, Options(range=policy)).save(tmp_path / "one")
    for name in FILES:
        assert (out / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    assert "5 read, 1 refused" in said[0][0]
    assert [talk for talk, _ in said[1:]] == [""] * (count - 1)  # one speaks for all


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others_with_a_word_and_a_rerun_goes_on(folder, tmp_path):
    port, out = free_port(), tmp_path / "out"
    first = start(folder, out, 0, 2, port)
    second = start(folder, out, 1, 2, port)
    while not (out / CACHE / "readings").exists() and first.poll() is None:
        time.sleep(0.01)
    second.kill()
    said = second.communicate(), first.communicate(timeout=300)
    assert first.returncode == 2, said
    assert "another process of this job was lost; run the same command again" in said[1][1]
    assert "Traceback" not in said[1][1]
    port = free_port()
    again = [start(folder, out, i, 2, port) for i in range(2)]
    assert [(job.communicate(timeout=300), job.returncode)[1] for job in again] == [1, 1]
    scan(folder).save(tmp_path / "one")
    assert (out / "layers.parquet").read_bytes() == (tmp_path / "one/layers.parquet").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_process_0_ends_the_others_with_a_word(folder, tmp_path, kind):
    port, out = free_port(), tmp_path / "out"
    first, second = (start(folder, out, i, 2, port) for i in range(2))
    while not (out / ".lock").exists() and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(kind)
    talk = second.communicate(timeout=300)[1]
    assert second.returncode == 2, talk
    assert talk.count("\n") == 1  # no stack of C++
    assert "another process of this job was lost; run the same command again" in talk
    assert first.wait() == (-signal.SIGKILL if kind == signal.SIGKILL else 143)
    message = first.communicate()[1]
    assert ("terminated; run the same command again" in message) == (kind == signal.SIGTERM)
    assert "Traceback" not in message


@pytest.mark.slow
def test_unequal_processes_end_all_with_one_sentence(folder, tmp_path):
    port = free_port()
    jobs = [start(folder, tmp_path / "out", i, 2, port, "--sample", str(i)) for i in range(2)]
    for process in jobs:
        talk = process.communicate(timeout=300)[1]
        assert process.returncode == 2, talk
        assert "differ in the option sample: process 0 has 0, process 1 has 1" in talk
        assert talk.count("\n") == 1
    assert not (tmp_path / "out/scan.json").exists()


class OneOf(Processes):
    def __init__(self, index, count):
        self.index, self.count = index, count


@given(st.lists(st.integers(0, 10**12), max_size=40), st.integers(1, 9))
def test_shares_are_disjoint_complete_and_even(sizes, count):
    shares = [OneOf(i, count).share(sizes) for i in range(count)]
    assert sorted(itertools.chain(*shares)) == list(range(len(sizes)))
    loads = [sum(sizes[i] for i in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes, default=0) + len(sizes)


@pytest.mark.parametrize("flags", ["", "--xla_a=1", "--xla_cpu_collective_timeout_seconds=7"])
def test_a_process_waits_for_others_longer_than_half_an_hour(monkeypatch, flags):
    def initialize(*job, **options):
        raise RuntimeError("no such host")

    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr("jax.distributed.initialize", initialize)
    with pytest.raises(ConnectionError, match="process 1 of 2 does not reach process 0 at a:1"):
        join("a:1", 2, 1)
    seconds = int(os.environ["XLA_FLAGS"].rpartition("collective_timeout_seconds=")[2])
    assert seconds == 7 if "timeout" in flags else seconds > 24 * 3600
    assert os.environ["XLA_FLAGS"].startswith(flags)


def test_half_an_address_is_refused():
    with pytest.raises(ValueError, match="together, or none"):
        join("127.0.0.1:1234", 2)


def test_a_process_by_itself_is_a_job_of_one(monkeypatch):
    for name in ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    processes = join()
    assert (processes.index, processes.count) == (0, 1)
    assert processes.union({3: b"x"}) == {3: b"x"}
    assert processes.overall_range(-1.0, 2.0) == (-1.0, 2.0)
