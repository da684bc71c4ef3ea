"""The hosts of a TPU pod: GKE tells them by variables, GCE by the metadata server of the machine.

Only the chips, a variable, or a metadata server that is named bring up the question: elsewhere nothing is
asked. JAX asks the same, but only where its TPU library is installed and sees the chips.
"""

import glob
import http.client
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

from ._job import Job, Variables, number_of

PORT = "8482"
"""At which process 0 listens on a TPU pod, as in JAX."""

PATIENCE = 3.0
"""Seconds for an answer of the metadata server, which is a millisecond away."""

_SERVER = "169.254.169.254"
"""The metadata server by its address: the resolver of names may take half a minute to give up."""

_GOOGLE = "0x1ae0"
_CHIPS = {"0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"}
"""Device numbers on the PCI bus, from v3 to v7x, as JAX knows them."""

_MEGASCALE = ("MEGASCALE_NUM_SLICES", "MEGASCALE_SLICE_ID", "MEGASCALE_COORDINATOR_ADDRESS")


def pod(variables: Variables) -> Job | None:
    """Return the job of all hosts of a TPU pod, of every slice; None elsewhere.

    Raises ValueError for variables that contradict each other.
    """
    hosts = variables.get("TPU_PROCESS_ADDRESSES") or variables.get("TPU_WORKER_HOSTNAMES")
    if hosts:
        names = hosts.split(",")
        default = None if len(names) > 1 else 0
        index = number_of(variables, "TPU_WORKER_ID", "the TPU pod", default)
        return _job("GKE TPU", names, index, variables, variables)
    return _gce_pod(variables) if _may_be_on_gce(variables) else None


def _gce_pod(variables: Variables) -> Job | None:
    server = variables.get("GCE_METADATA_IP") or _SERVER
    try:
        worker = _attribute(server, "agent-worker-number")
        if worker is None:
            return None
        endpoints = _attribute(server, "worker-network-endpoints") or ""
        pairs = _pairs(_attribute(server, "tpu-env") or "")
    except OSError as error:
        if _has_chips():
            reason = f"{server} does not answer ({error})"
            warnings.warn(f"{reason}: this host of a TPU scans by itself", stacklevel=2)
        return None
    index = number_of({"agent-worker-number": worker}, "agent-worker-number", "the TPU pod")
    # One entry a host: its name, or name:number:address on older images.
    names = [endpoint.split(":")[-1] for endpoint in endpoints.split(",")]
    return _job("GCE TPU", names, index, {**pairs, **variables}, variables)


def _job(
    launcher: str, hosts: list[str], index: int, facts: Mapping[str, str], variables: Variables
) -> Job:
    slices, number = (
        number_of({k: v for k, v in facts.items() if v}, name, launcher, default)
        for name, default in zip(_MEGASCALE, (1, 0), strict=False)
    )
    if index >= len(hosts) or number >= slices:
        reason = f"host {index} of {len(hosts)} in slice {number} of {slices}"
        raise ValueError(f"{launcher} tells of {reason}: numbers start at 0 and end below the size")
    first = (facts.get(_MEGASCALE[2]) or hosts[0]).split(":")[0]
    coordinator = f"{first}:{variables.get('JAX_COORDINATOR_PORT') or PORT}"
    name = launcher if slices == 1 else f"{launcher}, {slices} slices"
    return Job(
        name, len(hosts) * slices, index + number * len(hosts), coordinator, None, unit="hosts"
    )


def _pairs(text: str) -> dict[str, str]:
    """Return the variables of a text with lines such as MEGASCALE_NUM_SLICES: '2'."""
    return {
        match[1]: match[2].strip().strip("'")
        for match in re.finditer(r"^\s*(\w+)\s*:(.*)$", text, re.MULTILINE)
    }


def _may_be_on_gce(variables: Variables) -> bool:
    # JAX sets the second variable in every process that sees no chips.
    if "GCE_METADATA_IP" in variables:
        return True
    return "TPU_SKIP_MDS_QUERY" not in variables and _has_chips()


def _has_chips() -> bool:
    vendors = map(Path, glob.glob("/sys/bus/pci/devices/*/vendor"))
    return any(
        _text(vendor) == _GOOGLE and _text(vendor.with_name("device")) in _CHIPS
        for vendor in vendors
    )


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _attribute(server: str, name: str) -> str | None:
    """Return what the metadata server holds under a name; None where it holds nothing.

    Raises OSError if it does not answer in time.
    """
    end = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection(server, timeout=max(0.1, end - time.monotonic()))
        try:
            status, text = _answer(connection, f"/computeMetadata/v1/instance/attributes/{name}")
        except (OSError, http.client.HTTPException) as error:
            status, text = 0, str(error) or type(error).__name__
        finally:
            connection.close()
        if status in (200, 404):
            return text if status == 200 else None
        if time.monotonic() + 0.5 > end:
            raise OSError(text if not status else f"HTTP status {status}")
        time.sleep(0.5)


def _answer(connection: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    connection.request("GET", path, headers={"Metadata-Flavor": "Google"})
    response = connection.getresponse()
    return response.status, response.read(1 << 20).decode("utf-8", "replace")
