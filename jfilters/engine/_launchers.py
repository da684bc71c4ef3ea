"""What Slurm and the launchers of MPI tell their processes.

The variables and the answers are those that `jax.distributed` reads, and tests hold both together. JAX
knows no launcher of MPI but Open MPI 4.
"""

import re
import zlib

from ._job import Job, Variables, number_of, port_of

_STEP = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID")
"""Variables of srun. A batch script has most of them, but no nodes of a step: it is one process."""

_OPEN_MPI = "OMPI_COMM_WORLD_"
_MPI = (
    ("MPI", "PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS", "MPI_LOCALRANKID"),
    ("MVAPICH", *(f"MV2_COMM_WORLD_{x}" for x in ("SIZE", "RANK", "LOCAL_SIZE", "LOCAL_RANK"))),
)
"""Launchers of MPI that tell size, rank, and both on this machine, but not where process 0 runs."""


def open_mpi(variables: Variables) -> Job | None:
    """Return the job of Open MPI, from version 4 on."""
    if f"{_OPEN_MPI}SIZE" not in variables:
        return None
    count = number_of(variables, f"{_OPEN_MPI}SIZE", "Open MPI")
    # A process by itself has no need of a number.
    index = number_of(variables, f"{_OPEN_MPI}RANK", "Open MPI", 0 if count == 1 else None)
    on_machine, local = (
        number_of(variables, f"{_OPEN_MPI}LOCAL_{name}", "Open MPI", 0) for name in ("SIZE", "RANK")
    )
    coordinator = _open_mpi_address(variables, is_local=on_machine == count)
    device = None if on_machine == 1 else local
    return Job("Open MPI", count, index, coordinator, device)


def _open_mpi_address(variables: Variables, *, is_local: bool) -> str | None:
    """Return an address on the machine of mpirun, as JAX does.

    Open MPI 4 tells its number and addresses, such as "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911" or
    "1314521088.0;tcp6://[fe80::1]:43370". Open MPI 5 tells "prterun-HOST-PID@1".
    """
    uri = variables.get("OMPI_MCA_orte_hnp_uri", "")
    if match := re.match(r"(\d+)\..*?(?:tcp://(.+?)[,:]|tcp6://\[(.+?)[,\]])", uri):
        number, *hosts = match.groups()
        host = next(host for host in hosts if host)
        return f"{host}:{port_of(variables, int(number) >> 12)}"
    namespace = variables.get("PMIX_NAMESPACE", "")
    if match := re.match(r"prte(?:run)?-(.+)-\d+@", namespace):
        host = "127.0.0.1" if is_local else match[1]
        return f"{host}:{port_of(variables, zlib.crc32(namespace.encode()))}"
    return _first_node(variables, "SLURM_JOB_NODELIST")


def mpi(variables: Variables) -> Job | None:
    """Return the job of MPICH, Intel MPI or MVAPICH; srun sets such variables too."""
    for launcher, size, rank, local_size, local_rank in _MPI:
        if size not in variables:
            continue
        count = number_of(variables, size, launcher)
        index = number_of(variables, rank, launcher, 0 if count == 1 else None)
        step = slurm(variables)
        if step is not None and (step.count, step.index) == (count, index):
            return step
        is_alone = variables.get(local_size) == "1"
        device = None if is_alone else number_of(variables, local_rank, launcher, 0)
        return Job(launcher, count, index, _first_node(variables, "SLURM_JOB_NODELIST"), device)
    return None


def slurm(variables: Variables) -> Job | None:
    """Return the job that srun started; None in a batch script, which is one process."""
    if any(name not in variables for name in _STEP):
        return None
    size = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in variables else "SLURM_NTASKS"
    count = number_of(variables, size, "Slurm", 1)
    index = number_of(variables, "SLURM_PROCID", "Slurm")
    local = number_of(variables, "SLURM_LOCALID", "Slurm")
    device = None if _tasks_here(variables) == 1 else local
    return Job("Slurm", count, index, _first_node(variables, "SLURM_STEP_NODELIST"), device)


def _tasks_here(variables: Variables) -> int | None:
    """Return the tasks of a step on this node, of a list such as "4(x2),3"; None where it is unknown."""
    tasks: list[int] = []
    for size, times in re.findall(
        r"(\d+)(?:\(x(\d+)\))?", variables.get("SLURM_STEP_TASKS_PER_NODE", "")
    ):
        tasks += [int(size)] * int(times or 1)
    node = variables.get("SLURM_NODEID", "")
    return tasks[int(node)] if node.isdecimal() and int(node) < len(tasks) else None


def _first_node(variables: Variables, nodes: str) -> str | None:
    """Return the address on the first node of "node7,node9", "node[001-004,7],b1" or the like."""
    match = re.match(r"([^,\[]+)(?:\[([^,\-\]]+)[^\]]*\]([^,]*))?", variables.get(nodes, ""))
    if match is None or "SLURM_JOB_ID" not in variables:
        return None
    number = number_of(variables, "SLURM_JOB_ID", "Slurm")
    return f"{''.join(part or '' for part in match.groups())}:{port_of(variables, number)}"


def pmix(variables: Variables) -> Job | None:
    """Raise ValueError under a launcher of PMIx that tells nothing but a rank."""
    if "PMIX_RANK" in variables:
        reason = f"PMIx tells of process {variables['PMIX_RANK']}, but not the size of its job"
        remedy = "give --coordinator, --num-processes and --process-id"
        raise ValueError(f"{reason}: {remedy}")
    return None
