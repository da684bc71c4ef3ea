"""Scans on a local Ray cluster of three nodes: the tables of one machine, whatever dies on the way."""

import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.engine import Options, _cluster, scan
from jfilters.engine._cluster import Cluster
from jfilters.errors import MissingExtraError

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


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A head that reads nothing and two nodes with a CPU each, which only this machine can reach."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Nodes

    # Paths of sockets are short.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-") as home:
        patch.setenv("RAY_TMPDIR", home)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Else the other tests of a busy machine leave them nearly no time.
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        found = Nodes(initialize_head=True, head_node_args={"include_dashboard": False, **HEAD})
        try:
            for _ in range(2):
                found.add_node(**NODE)
            # One connection for all tests: the workers stay with it, and what they have compiled.
            with Cluster(Options(), address=found.address):
                yield found
        finally:
            found.shutdown()


# Ray takes 127.0.0.1 for the address of a network interface.
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.2"}
HEAD = NODE | {"num_cpus": 0}


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


def test_a_node_that_dies_in_mid_scan_changes_nothing(nodes, folder, local, tmp_path):
    def kill(node, reader):
        nodes.remove_node(node, allow_graceful=False)
        reader.kill()

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
    with pytest.raises(MissingExtraError, match=r"jfilters\[cluster\]"):
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


def test_a_cluster_without_any_cpu_is_given_up(monkeypatch):
    class Idle:
        """A cluster whose nodes have all gone."""

        def wait(self, references, timeout):
            return [], references

        def cluster_resources(self):
            return {"memory": 1.0}

    monkeypatch.setattr(_cluster, "_imported", Idle)
    with pytest.raises(ConnectionError, match="none of its nodes has a CPU"):
        Cluster(Options())._next(["task"])
