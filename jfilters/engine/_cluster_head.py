"""The head of a Ray cluster, and the end of a scan whose head has died."""

import contextlib
import functools
import io
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

SILENCE = 20.0
"""Seconds that a head may be silent: it may start again. Ray ends the process after 60 of them."""

NODE_DIED = "the node on this machine died"

_ANSWER = 3.0  # seconds that one connection to the head may take
_PAUSE = 0.5


class Head:
    """Asks the head of a cluster for its resources, once it has shown that it is alive.

    A call to a head that has died blocks. After a minute Ray ends the whole process, with lines of its own
    log and exit code 1; after the death of the node on this machine, in ten seconds. So connections to the
    ports of both precede each call, for less than a millisecond.
    """

    def __init__(self, ray: Any):
        self._ray = ray

    def resources(self) -> dict[str, float]:
        """Return the resources of all nodes by name; raise ConnectionError if the head is silent."""
        self.check()
        return self._ray.cluster_resources()

    def nodes(self) -> list[dict[str, float]]:
        """Return the resources of every node; raise ConnectionError if the head is silent."""
        self.check()
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def check(self) -> None:
        """Raise ConnectionError if the head is silent for `SILENCE` seconds, or the node here has died."""
        if self._address is None:
            return
        self._check_head(*self._address)
        if self._node is not None and not _answers(*self._node):
            raise ConnectionError(NODE_DIED)

    @functools.cached_property
    def _node(self) -> tuple[str, int] | None:
        here = self._ray.get_runtime_context().get_node_id()
        nodes = [node for node in self._ray.nodes() if node["NodeID"] == here]
        return (nodes[0]["NodeManagerAddress"], nodes[0]["NodeManagerPort"]) if nodes else None

    @functools.cached_property
    def _address(self) -> tuple[str, int] | None:
        # A client of Ray (ray://) is outside of the cluster, and knows no address in it.
        address = getattr(self._ray.get_runtime_context(), "gcs_address", None)
        host, _, port = (address or "").rpartition(":")
        return (host.strip("[]"), int(port)) if host else None

    def _check_head(self, host: str, port: int) -> None:
        deadline = time.monotonic() + SILENCE
        while not _answers(host, port):
            if time.monotonic() > deadline:
                raise ConnectionError(f"its head at {host}:{port} does not answer")
            time.sleep(_PAUSE)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_ANSWER).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def without_messages_of_ray() -> Iterator[None]:
    """Drop what threads of Ray print on stdout, such as the log of a node that died; ours is data."""
    with contextlib.redirect_stdout(_Others(sys.stdout)):
        yield


def shut_down(ray: Any) -> None:
    """End the connection to a cluster, without the messages that Ray has held back until then."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ray.shutdown()


class _Others(io.TextIOBase):
    """A stream for all threads but those of Ray, which has no option against its messages."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
