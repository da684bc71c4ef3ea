"""The two processes of a scan in a job: the child's end in one sentence, and no child without a parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
AGAIN = "run the same command again: checkpoints that were finished are not read again\n"


def start(code):
    """A process that goes on in a child, which runs some code."""
    lines = (
        "import os, signal, sys, time",
        "from jfilters_cli._parent import end_at_sigterm, fork_worker",
        "fork_worker('a:5000 (Slurm, 4 processes)')",
        "end_at_sigterm()",
        "print(os.getpid(), flush=True)",
        code,
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([ROOT, os.path.join(ROOT, "cli")])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", "\n".join(lines)]
    process = subprocess.Popen(command, text=True, env=environment, **pipes)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


FATAL = (
    "os.write(2, b'JAX distributed service detected fatal errors\\n@ 0x7f stack\\n'); os.abort()"
)


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("sys.exit(1)", 1, ""),
        ("print('word', file=sys.stderr); sys.exit(2)", 2, "word\n"),
        ("os.write(2, b'a line of native code\\n')", 0, ""),
        (FATAL, 2, f"error: another process of this job was lost; {AGAIN}"),
        (
            FATAL.replace("stack", "RPC: /xla.coordination.CoordinationService/RegisterTask"),
            2,
            "error: the processes of this job did not meet at a:5000 (Slurm, 4 processes): "
            "start all, and let them reach it\n",
        ),
        (
            "os.write(2, b'no memory\\n'); os.abort()",
            2,
            f"no memory\nerror: the process that scanned ended by SIGABRT; {AGAIN}",
        ),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            2,
            "error: the process that scanned ended by SIGKILL, often for lack of memory; " + AGAIN,
        ),
    ],
)
def test_the_end_of_the_child_is_that_of_its_parent(code, status, message):
    process, child = start(code)
    assert child != process.pid
    assert process.communicate(timeout=60)[1].lstrip() == message
    assert process.returncode == status


@pytest.mark.parametrize("is_deaf", [False, True])
@pytest.mark.parametrize(("kind", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_both_in_time(kind, status, is_deaf):
    ignore = "for n in (signal.SIGTERM, signal.SIGINT): signal.signal(n, signal.SIG_IGN)\n"
    wait = "try: time.sleep(60)\nexcept KeyboardInterrupt: sys.exit(130)"
    begin = time.monotonic()
    process, _ = start((ignore if is_deaf else "") + "print(flush=True)\n" + wait)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(kind)
    message = process.communicate(timeout=50)[1]
    assert process.returncode == status
    assert time.monotonic() - begin < 50
    assert "Traceback" not in message
    assert ("terminated; run" in message) == (kind == signal.SIGTERM)


def test_a_child_does_not_outlive_its_parent():
    process, child = start("time.sleep(60)")
    process.kill()
    process.communicate(timeout=30)  # the pipes close with the last of both
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(child)
