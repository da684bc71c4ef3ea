"""Scans on a local Ray cluster of three nodes: the tables of one machine, whatever dies on the way."""

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.engine import Options, _cluster, _cluster_head, scan
from jfilters.engine._bins import Bins, data_free_edges
from jfilters.engine._cluster import Cluster
from jfilters.engine._cluster_head import Head
from jfilters.engine._cluster_workers import Place, Workers, environment
from jfilters.engine._plan import plan
from jfilters.errors import MissingExtraError
from jfilters.statistics import Basis

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs all addresses 127.* on the loopback"),
    # Of nodes that are started from a process with JAX in it.
    pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning"),
]


def network(seed, *, width):
    rng = np.random.default_rng(seed)
    weights = {
        f"conv{i}.weight": rng.standard_normal((width, width, 3, 3), np.float32) for i in range(4)
    }
    return weights | {"fc.weight": rng.standard_normal((4, 7), np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Checkpoints of two or three megabytes, and one that is none."""
    folder = tmp_path_factory.mktemp("zoo")
    for seed in range(30):
        weights = network(seed, width=120 + seed)
        save_file(weights, folder / f"{seed}.safetensors", metadata={"format": "pt"})
    (folder / "broken.safetensors").write_bytes(b"\1")
    return folder


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory):
    """The tables of a scan on one machine."""
    return tables(scan(folder, Options(range="data")), tmp_path_factory.mktemp("local"))


def tables(found, out):
    found.save(out)
    return {file.name: file.read_bytes() for file in out.iterdir()}


@contextlib.contextmanager
def started(nodes, cache):
    """A head that reads nothing and nodes with a CPU each, which only this machine can reach."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Nodes

    # Paths of sockets are short.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-") as home:
        patch.setenv("RAY_TMPDIR", home)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Else the other tests of a busy machine leave them nearly no time.
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("XDG_CACHE_HOME", str(cache))
        cluster = Nodes(initialize_head=True, head_node_args={"include_dashboard": False, **HEAD})
        try:
            for _ in range(nodes):
                cluster.add_node(**NODE)
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A cluster of two nodes with a CPU, and a GPU that Ray only believes in."""
    # One connection for all tests: the workers stay with it, and what they have compiled.
    cache = tmp_path_factory.mktemp("cache")
    with started(2, cache) as cluster, Cluster(Options(), address=cluster.address):
        yield cluster


# Ray takes 127.0.0.1 for the address of a network interface.
NODE = {
    "num_cpus": 1,
    "num_gpus": 1,
    "object_store_memory": 80 << 20,
    "node_ip_address": "127.0.0.2",
}
HEAD = NODE | {"num_cpus": 0, "num_gpus": 0}


def reader_of(node, folder):
    """A process of the node, stopped while it has a checkpoint of the folder open; or None."""
    psutil = pytest.importorskip("psutil")
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in raylet.children(recursive=True):
        process.suspend()
        if any(file.path.startswith(str(folder)) for file in process.open_files()):
            return process
        process.resume()
    return None


class Trap:
    """As the progress of a scan: once, when a node is caught reading, it and its reader go to `spring`."""

    def __init__(self, nodes, folder, spring):
        self.nodes, self.folder, self.spring = nodes, folder, spring
        self.sprung = None

    def __call__(self, stage, done, total):
        deadline = time.monotonic() + 1
        while self.sprung is None and done < total and time.monotonic() < deadline:
            self.look(stage)

    def look(self, stage):
        for node in self.nodes.worker_nodes:
            if reader := reader_of(node, self.folder):
                self.sprung = stage
                self.spring(node, reader)
                return


def test_a_scan_on_a_cluster_writes_the_tables_of_one_machine(nodes, folder, local, tmp_path):
    found = scan(folder, Options(range="data"), engine="ray")
    assert found.record["totals"]["refused"] == 1
    assert tables(found, tmp_path / "out") == local


BINS = Bins(Basis(np.zeros(9), np.eye(9), np.full(9, 1 / 9)), data_free_edges(Options()))


@contextlib.contextmanager
def measured(folder):
    """A cluster that has measured the checkpoints of a folder, what it measured, and the node of each."""
    _, entries, _ = plan([folder])
    with Cluster(Options()) as cluster:
        results = list(cluster.measure(list(enumerate(entries))))
        yield cluster, results, dict(cluster._nodes)


def test_a_checkpoint_is_read_again_on_the_node_that_read_it_first(nodes, folder):
    with measured(folder) as (cluster, results, first):
        assert len(list(cluster.count(results, BINS))) == len(first) == len(results)
        assert len(set(first.values())) == 2
        # Half of them without affinity; idle nodes may take a few at the beginning and the end.
        same = [index for index, node in cluster._nodes.items() if first[index] == node]
        assert len(same) >= 0.75 * len(first)


def test_a_node_that_works_for_another_job_holds_nothing_up(nodes, folder):
    import ray

    node = next(iter(nodes.worker_nodes))
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.node_id, False)

    @ray.remote(num_cpus=1, scheduling_strategy=strategy)
    def other_job():
        time.sleep(600)

    with measured(folder) as (cluster, results, _):
        job = other_job.remote()
        try:
            while ray.available_resources().get("CPU", 0) > 1:
                time.sleep(0.1)
            assert len(list(cluster.count(results, BINS))) == len(results)
            assert node.node_id not in cluster._nodes.values()
        finally:
            ray.cancel(job, force=True)


def test_the_checkpoints_of_a_node_that_is_gone_are_read_again_on_another(nodes, folder):
    with measured(folder) as (cluster, results, first):
        node = next(iter(nodes.worker_nodes))
        cluster._nodes |= dict.fromkeys(first, node.node_id)  # whichever node had measured them
        nodes.remove_node(node, allow_graceful=False)
        nodes.add_node(**NODE)
        assert len(list(cluster.count(results, BINS))) == len(results)
        assert node.node_id not in cluster._nodes.values()


def test_a_scan_on_gpus_takes_them_from_ray(nodes, folder, local, tmp_path, caplog):
    result = scan(folder, Options(range="data"), engine="ray", num_gpus=0.5)
    # The GPUs do not exist: JAX computes the same on the CPU, and the scan says so.
    assert tables(result, tmp_path / "out") == local
    assert caplog.text.count("JAX finds no GPU") == 1


def test_gpus_that_no_node_has_are_refused_before_the_scan(nodes, folder):
    with pytest.raises(ValueError, match="with 2 GPUs for a task; the largest has 1"):
        scan(folder, engine="ray", num_gpus=2)


def test_a_node_that_dies_in_mid_scan_changes_nothing(nodes, folder, local, tmp_path):
    def kill(node, reader):
        nodes.remove_node(node, allow_graceful=False)
        reader.kill()
        nodes.add_node(**NODE)

    trap = Trap(nodes, folder, kill)
    found = scan(folder, Options(range="data"), engine="ray", progress=trap)
    assert trap.sprung == "moments"
    assert tables(found, tmp_path / "out") == local


def test_a_checkpoint_that_kills_its_readers_is_lost_alone(nodes, folder, monkeypatch):
    monkeypatch.setattr(_cluster, "RETRIES", 0)
    trap = Trap(nodes, folder, lambda node, reader: reader.kill())
    found = scan(folder, engine="ray", progress=trap)
    assert trap.sprung == "moments"
    (lost,) = [x for x in found.record["checkpoints"] if x["status"] == "failed"]
    assert f"{lost['model']}: the process that read it died" in lost["reason"]


def test_a_strict_scan_ends_with_the_first_error(nodes, folder):
    with pytest.raises(CheckpointError, match=r"broken\.safetensors"):
        scan(folder, Options(strict=True), engine="ray")


def test_without_ray_the_error_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[cluster\]'"):
        scan(folder, engine="ray")


def test_an_address_needs_the_engine(folder):
    with pytest.raises(ValueError, match="it needs the engine ray"):
        scan(folder, address="127.0.0.1:6379")
    command = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(folder)]
    done = subprocess.run([*command, "--address", "auto"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--address needs --engine ray" in done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_no_cluster_at_the_address_is_told_at_once(address):
    pytest.importorskip("ray")
    with pytest.raises(ConnectionError, match=f"no connection to a Ray cluster at {address}: "):
        _cluster._connect(_cluster._imported(), address)


@contextlib.contextmanager
def caught(cluster, folder, *command):
    """A command and the reader of a node that it has started, stopped in the middle of a checkpoint."""
    command = [sys.executable, "-m", "jfilters_cli", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (reader := reader_of(next(iter(cluster.worker_nodes)), folder)):
            assert time.monotonic() < deadline
            assert process.poll() is None
        yield process
        reader.kill()
    finally:
        process.kill()


@pytest.mark.parametrize("part", ["gcs_server", "raylet"])
def test_the_death_of_the_head_is_one_sentence(part, folder, tmp_path):
    with started(1, tmp_path / "cache") as cluster:
        scan = ["scan", "--engine", "ray", "--address", cluster.address, "--out", str(tmp_path)]
        with caught(cluster, folder, *scan, "--checkpoints", str(folder)) as process:
            (head,) = cluster.head_node.all_processes[part]
            os.kill(head.process.pid, signal.SIGKILL)
            out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, ""), err
    assert len(err.splitlines()) == 1
    assert err.startswith("error: the Ray cluster is lost: ")
    assert "run the same command again to go on: finished checkpoints are not read again" in err


def ray_at(address, nodes=()):
    """Stands in for Ray, connected to a head at an address."""
    context = types.SimpleNamespace(gcs_address=address, get_node_id=lambda: "here")
    listed = [{"Alive": True, "NodeID": "", "Resources": node} for node in nodes]
    return types.SimpleNamespace(get_runtime_context=lambda: context, nodes=lambda: listed)


def test_a_head_that_starts_again_in_time_is_not_lost(monkeypatch):
    answers = iter([False, False, True])
    monkeypatch.setattr(_cluster_head, "_answers", lambda host, port: next(answers))
    monkeypatch.setattr(_cluster_head, "_PAUSE", 0)
    Head(ray_at("10.0.0.1:6379")).check()
    assert next(answers, None) is None


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1"])
def test_a_silent_head_is_named(address, monkeypatch):
    monkeypatch.setattr(_cluster_head, "SILENCE", 0)
    with pytest.raises(ConnectionError, match=r"its head at .*:1 does not answer"):
        Head(ray_at(address)).resources()


def test_a_client_outside_of_the_cluster_knows_no_address():
    context = types.SimpleNamespace(get_node_id=lambda: "here")
    ray = types.SimpleNamespace(
        get_runtime_context=lambda: context, cluster_resources=lambda: {"CPU": 4.0}
    )
    assert Head(ray).resources() == {"CPU": 4.0}


def test_a_node_of_this_machine_that_died_is_told_at_once(monkeypatch):
    ray = ray_at("10.0.0.1:6379", [{}])
    ray.nodes()[0].update(NodeID="here", NodeManagerAddress="10.0.0.2", NodeManagerPort=1)
    monkeypatch.setattr(_cluster_head, "_answers", lambda host, port: host == "10.0.0.1")
    with pytest.raises(ConnectionError, match="the node on this machine died"):
        Head(ray).resources()


def test_messages_of_ray_stay_out_of_the_data():
    thread = threading.Thread(target=print, args=["log"], name="ray_listen_error_messages")
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), _cluster_head.without_messages_of_ray():
        thread.start()
        thread.join()
        print("data")
    assert stream.getvalue() == "data\n"


@pytest.mark.parametrize(
    ("nodes", "num_gpus", "reason"),
    [
        ([], 1, "no node of the Ray cluster has a GPU"),
        ([{"CPU": 4.0}], 0.1, "no node of the Ray cluster has a GPU"),
        # A node without a CPU runs no task.
        ([{"GPU": 8.0}, {"CPU": 4.0}], 1, "no node of the Ray cluster has a GPU"),
        ([{"CPU": 4.0, "GPU": 2.0}] * 3, 4, "with 4 GPUs for a task; the largest has 2"),
    ],
)
def test_tasks_that_no_node_can_run_are_refused(nodes, num_gpus, reason, monkeypatch):
    monkeypatch.setattr(_cluster_head, "_answers", lambda host, port: True)
    ray = ray_at("10.0.0.1:6379", nodes)
    with pytest.raises(ValueError, match=reason):
        Workers(ray, num_gpus).check(Head(ray))
    Workers(ray).check(Head(ray))


@pytest.mark.parametrize("num_gpus", [-1, 1.5, float("inf"), float("nan")])
def test_gpus_are_counted_as_ray_does(num_gpus):
    with pytest.raises(ValueError, match="a number from 0 to 1, or a whole number"):
        Workers(ray_at(""), num_gpus)


@pytest.mark.parametrize(
    ("num_gpus", "slots"), [(0, 16.0), (1, 4.0), (2, 2.0), (0.5, 8.0), (0.1, 16.0)]
)
def test_a_task_takes_a_cpu_and_its_gpus(num_gpus, slots):
    assert Workers(ray_at(""), num_gpus).slots({"CPU": 16.0, "GPU": 4.0}) == slots
    assert Workers(ray_at(""), num_gpus).slots({"CPU": 16.0}) == (0 if num_gpus else 16)


def test_jax_may_choose_the_gpu_where_tasks_have_one(monkeypatch):
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    assert environment()["JAX_PLATFORMS"] == "cpu"
    assert environment(1)["JAX_PLATFORMS"] == ""
    assert environment(0.5)["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    assert environment(1)["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"


def test_a_gpu_that_jax_does_not_see_is_told_once_a_machine(caplog):
    workers = Workers(ray_at(""), 1)
    with caplog.at_level(logging.WARNING):
        for machine, platform in [("a", "cpu"), ("a", "cpu"), ("b", "cpu"), ("c", "gpu")]:
            workers.check_device(Place("0", machine, platform))
        Workers(ray_at("")).check_device(Place("0", "d", "cpu"))
    assert [record.args for record in caplog.records] == [("a",), ("b",)]


def test_gpus_need_the_engine(folder):
    with pytest.raises(ValueError, match="they need the engine ray"):
        scan(folder, num_gpus=1)
    command = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(folder)]
    done = subprocess.run([*command, "--num-gpus", "1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--num-gpus needs --engine ray" in done.stderr


def test_a_cluster_without_any_cpu_is_given_up(monkeypatch):
    class Idle:
        """A cluster whose nodes have all gone."""

        def wait(self, references, timeout):
            return [], references

        def cluster_resources(self):
            return {"memory": 1.0}

        def get_runtime_context(self):
            return ray_at("10.0.0.1:6379").get_runtime_context()

        def nodes(self):
            return []

    monkeypatch.setattr(_cluster_head, "_answers", lambda host, port: True)
    monkeypatch.setattr(_cluster, "_imported", Idle)
    with pytest.raises(ConnectionError, match="none of its nodes has a CPU"):
        Cluster(Options())._next(["task"])
