"""The job that a process is part of: read as JAX reads it, and refused where it is unclear."""

import contextlib
import functools
import http.server
import threading

import pytest
from jax._src import clusters
from jax._src.clusters import cloud_tpu_cluster

from jfilters.engine import _tpu_pod
from jfilters.engine._detection import job_of
from jfilters.engine._job import Job

VARIABLES = (
    *("JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_PORT", "GCE_METADATA_IP", "TPU_SKIP_MDS_QUERY"),
    *("TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES", "TPU_WORKER_ID", "JOB_COMPLETION_INDEX"),
    *("MEGASCALE_NUM_SLICES", "MEGASCALE_SLICE_ID", "MEGASCALE_COORDINATOR_ADDRESS"),
)
PREFIXES = ("SLURM_", "OMPI_", "PMI", "MPI_", "MV2_", "PMIX_")

SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_NODELIST": "node[001-004,7],big1",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
}
MPIRUN_4 = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
GKE = {"TPU_WORKER_HOSTNAMES": "t-0.svc,t-1.svc,t-2.svc,t-3.svc", "TPU_WORKER_ID": "3"}
SLICES = {
    "MEGASCALE_NUM_SLICES": "2",
    "MEGASCALE_SLICE_ID": "1",
    "MEGASCALE_COORDINATOR_ADDRESS": "t-0.svc:8080",
}


@pytest.fixture
def launcher(monkeypatch):
    """A function that sets the variables of a launcher, where no other one is."""
    import os

    for name in [*VARIABLES, *(name for name in os.environ if name.startswith(PREFIXES))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_tpu_pod, "_has_chips", lambda: False)
    monkeypatch.setattr(_tpu_pod, "PATIENCE", 0.6)

    def start(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return start


@contextlib.contextmanager
def metadata_server(attributes, status=200):
    """The metadata server of a machine on GCE, on loopback; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.removeprefix("/computeMetadata/v1/instance/attributes/")
            is_google = self.headers["Metadata-Flavor"] == "Google"
            text = attributes.get(name) if is_google else None
            self.send_response(404 if text is None else status)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.02), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def answers_of_jax(cluster, monkeypatch):
    """The coordinator, the size and the number of this process, as JAX itself finds them."""
    monkeypatch.setattr(cloud_tpu_cluster, "running_in_cloud_tpu_vm", True)
    monkeypatch.setattr(cloud_tpu_cluster.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(
        cloud_tpu_cluster.BaseTpuCluster, "wait_for_coordinator", lambda *arguments: None
    )
    assert cluster.is_env_present()
    address = cluster.get_coordinator_address(timeout_secs=1, override_coordinator_port=None)
    return address, cluster.get_process_count(), cluster.get_process_id()


@pytest.mark.parametrize(
    ("variables", "cluster", "name"),
    [
        (SRUN, clusters.SlurmCluster, "Slurm, 4 processes"),
        (
            SRUN | {"SLURM_STEP_NODELIST": "node7,node9"},
            clusters.SlurmCluster,
            "Slurm, 4 processes",
        ),
        (SRUN | {"SLURM_STEP_NODELIST": "a"}, clusters.SlurmCluster, "Slurm, 4 processes"),
        (SRUN | {"PMI_SIZE": "4", "PMI_RANK": "2"}, clusters.SlurmCluster, "Slurm, 4 processes"),
        (MPIRUN_4, clusters.OmpiCluster, "Open MPI, 4 processes"),
        (
            MPIRUN_4 | {"OMPI_MCA_orte_hnp_uri": "1314521088.0;tcp6://[fe80::1,fe80::2]:43370"},
            clusters.OmpiCluster,
            "Open MPI, 4 processes",
        ),
        (MPIRUN_4 | SRUN, clusters.OmpiCluster, "Open MPI, 4 processes"),
        (GKE, clusters.GkeTpuCluster, "GKE TPU, 4 hosts"),
        (GKE | SLICES, clusters.GkeTpuCluster, "GKE TPU, 2 slices, 8 hosts"),
        (
            {"TPU_PROCESS_ADDRESSES": "a:8476,b:8476", "TPU_WORKER_ID": "1"},
            clusters.GkeTpuCluster,
            "GKE TPU, 2 hosts",
        ),
    ],
)
def test_launchers_are_read_as_jax_reads_them(launcher, monkeypatch, variables, cluster, name):
    launcher(variables)
    if cluster is clusters.GkeTpuCluster:  # what no variable tells, JAX asks a metadata server
        monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", lambda key: ("", 404))
    job = job_of()
    assert (job.coordinator, job.count, job.index) == answers_of_jax(cluster, monkeypatch)
    assert str(job) == name


GCE = {
    "agent-worker-number": "2",
    "worker-network-endpoints": "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4",
    "tpu-env": "ACCELERATOR_TYPE: 'v4-32'\nZONE: 'us-central2-b'",
}


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        (GCE, "GCE TPU, 4 hosts"),
        (
            GCE | {"worker-network-endpoints": "a:0:10.0.0.1,b:1:10.0.0.2,c:2:10.0.0.3"},
            "GCE TPU, 3 hosts",
        ),
        (
            GCE
            | {
                "tpu-env": "MEGASCALE_NUM_SLICES: '2'\nMEGASCALE_SLICE_ID: '1'\n"
                "MEGASCALE_COORDINATOR_ADDRESS: '10.1.0.1:8080'"
            },
            "GCE TPU, 2 slices, 8 hosts",
        ),
    ],
)
def test_a_pod_on_gce_is_read_as_jax_reads_it(launcher, monkeypatch, attributes, name):
    with metadata_server(attributes) as address:
        launcher({"GCE_METADATA_IP": address})
        job = job_of()
        assert (job.coordinator, job.count, job.index) == answers_of_jax(
            clusters.GceTpuCluster, monkeypatch
        )
    assert str(job) == name


def test_a_pod_with_chips_needs_neither_a_variable_nor_the_library_of_the_tpu(
    launcher, monkeypatch
):
    with metadata_server(GCE) as address:
        monkeypatch.setattr(_tpu_pod, "_has_chips", lambda: True)
        monkeypatch.setattr(_tpu_pod, "_SERVER", address)
        assert job_of().count == 4


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SLURM_NTASKS": "1", "OMPI_COMM_WORLD_SIZE": "1"},
        {**SRUN, "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        # A batch script without srun.
        {name: value for name, value in SRUN.items() if name != "SLURM_STEP_NODELIST"},
        {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "node[1-4]"},
        {"TPU_WORKER_HOSTNAMES": "localhost"},
        {"PMI_SIZE": "1", "PMI_RANK": "0"},
        {"WORLD_SIZE": "4", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"},  # torchrun
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "2"},
        {"GCE_METADATA_IP": "127.0.0.1:9"},  # nobody listens there
    ],
)
def test_one_process_is_no_error(launcher, variables):
    launcher(variables)
    assert job_of().count == 1


def test_a_host_without_an_answer_says_that_it_scans_by_itself(launcher, monkeypatch):
    monkeypatch.setattr(_tpu_pod, "_has_chips", lambda: True)
    monkeypatch.setattr(_tpu_pod, "_SERVER", "127.0.0.1:9")
    with pytest.warns(UserWarning, match="scans by itself"):
        job = job_of()
    assert job.count == 1
    with metadata_server(GCE, status=503) as address:
        monkeypatch.setattr(_tpu_pod, "_SERVER", address)
        with pytest.warns(UserWarning, match="503"):
            job = job_of()
    assert job.count == 1


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (SRUN | {"SLURM_PROCID": "4"}, "Slurm tells of process 4 in a job of 4"),
        (SRUN | {"SLURM_PROCID": "x"}, "SLURM_PROCID is 'x', no number"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_RANK is not set"),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, "not where process 0 listens: give --coordinator"),
        ({"MV2_COMM_WORLD_SIZE": "2", "MV2_COMM_WORLD_RANK": "1"}, "give --coordinator"),
        ({"PMIX_RANK": "0"}, "not the size of its job"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU_WORKER_ID is not set"),
        (GKE | {"TPU_WORKER_ID": "4"}, "host 4 of 4"),
        (GKE | {"MEGASCALE_NUM_SLICES": "2", "MEGASCALE_SLICE_ID": "2"}, "slice 2 of 2"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(launcher, variables, reason):
    launcher(variables)
    with pytest.raises(ValueError, match=reason):
        job_of()


def test_what_the_launcher_does_not_tell_may_be_given(launcher):
    launcher({"PMI_SIZE": "4", "PMI_RANK": "2", "MPI_LOCALNRANKS": "2", "MPI_LOCALRANKID": "1"})
    assert job_of("a:5000") == Job("MPI", 4, 2, "a:5000", 1)
    with pytest.raises(ValueError, match="HOST:PORT"):
        job_of("a")
    launcher({"PMI_SIZE": "1", "PMI_RANK": "0", "JOB_COMPLETION_INDEX": "3"})
    assert job_of("a:5000", 5).index == 3
    with pytest.raises(ValueError, match="process 7 in a job of 4"):
        job_of("a:5000", 4, 7)


def test_nodes_are_found_where_jax_does_not_look(launcher, monkeypatch):
    launcher(
        {"PMI_SIZE": "8", "PMI_RANK": "5", "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n[3-4]-ib"}
    )
    assert job_of().coordinator == f"n3-ib:{65536 - 4096 + 1}"
    launcher({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"})  # Open MPI 5
    launcher({"PMIX_NAMESPACE": "prterun-my-host-77@1"})
    assert job_of().coordinator.startswith("my-host:")
    launcher({"OMPI_COMM_WORLD_LOCAL_SIZE": "2"})
    assert job_of().coordinator.startswith("127.0.0.1:")
    monkeypatch.setenv("JAX_COORDINATOR_PORT", "77")
    assert job_of().coordinator == "127.0.0.1:77"


@pytest.mark.parametrize(
    ("variables", "device"),
    [
        ({}, 0),
        ({"SLURM_NODEID": "1", "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)"}, None),
        ({"SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)"}, 0),
    ],
)
def test_a_process_alone_on_its_machine_uses_all_devices(launcher, variables, device):
    launcher(SRUN | variables)
    assert job_of().device == device
