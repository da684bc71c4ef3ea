"""Opens damaged checkpoints of one reader and writes down what came of each.

The outcomes lie in a file that outlives the process, and so does the damaged checkpoint, so that a crash
of a library is known with what led to it.
"""

import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from jfilters.converters import open_checkpoint
from jfilters.errors import CheckpointError

from ._grammars import GRAMMARS, restructured
from ._grammars._listing import script
from ._mutations import damaged
from ._parts import Listing, damaged_copy, parts
from ._parts import left_behind as left_behind

LIMIT = 10.0
"""Seconds of CPU time that one input may take: a process that is stopped for a while is not late."""

AFRESH = 0.4
"""The part of the inputs that start from a healthy file: damage on damage is mostly refused at once."""

STRUCTURED = 0.5
"""The part of the inputs that are changed by the grammar of their container, others byte by byte."""

MEMORY = 512
"""Megabytes that one input may add to what the process holds."""

PENDING, REFUSED, READ, FOUND = range(4)
OUTCOME = np.dtype([("status", "u1"), ("seconds", "f4"), ("peak", "u4")])
"""One input: what came of it, its seconds of CPU time, and the peak memory of the process in KiB."""

_PEAK, _HELD = re.compile(rb"VmHWM:\s+(\d+)"), re.compile(rb"VmRSS:\s+(\d+)")
_IMPORTS = tuple({sys.prefix, sys.base_prefix, str(Path(__file__).parents[1])})
_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"),
    *("socket.connect", "socket.getaddrinfo", "pickle.find_class", "ctypes.dlopen"),
)


class Hang(BaseException):
    """An input took longer than `LIMIT`; no reader can mistake it for damage."""


@dataclasses.dataclass
class Guard:
    """An audit hook that notes what a reader must not do; raising there could go unnoticed."""

    folder: str
    armed: bool = False
    noted: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, event: str, args: tuple) -> None:
        """Called by the interpreter at every event."""
        if self.armed and self._breaks(event, args):
            self.noted.append(f"{event} {args!r}"[:200])

    def _breaks(self, event: str, args: tuple) -> bool:
        if event == "open":
            return not self._may_open(*args)
        if event in ("os.listdir", "os.scandir"):
            return not self._inside(args[0])
        if event == "import":
            return args[0].partition(".")[0] not in sys.stdlib_module_names | sys.modules.keys()
        if event == "exec":
            return not str(args[0].co_filename).startswith((*_IMPORTS, "<frozen"))
        return event in _FORBIDDEN

    def _may_open(self, path: object, mode: str | None, flags: int) -> bool:
        # A descriptor was opened before, and was judged then.
        if isinstance(path, int):
            return True
        reads = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return reads and (self._inside(path) or os.fsdecode(path).startswith(_IMPORTS))

    def _inside(self, path: object) -> bool:
        found = os.path.realpath(os.fsdecode(path))
        return found == self.folder or found.startswith(self.folder + os.sep)


def read(path: Path) -> None:
    """Open a checkpoint and read every layer, as it promises to be."""
    for layer in open_checkpoint(path).layers:
        weight = layer.read()
        if weight.shape != layer.shape or weight.dtype != np.float32:
            promised = f"expected float32 {layer.shape}"
            raise AssertionError(f"{promised}, found {weight.dtype} {weight.shape}")


def outcome(path: Path, guard: Guard) -> tuple[int, str]:
    """What came of reading `path`, and the finding if it is one."""
    try:
        guard.armed = True
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        read(path)
        status, finding = READ, ""
    except CheckpointError:
        status, finding = REFUSED, ""
    except Hang:
        status, finding = FOUND, f"more than {LIMIT:g} s"
    except Exception:
        status, finding = FOUND, traceback.format_exc()[-2000:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        guard.armed = False
    if guard.noted:
        status, finding = FOUND, "; ".join(guard.noted)
        guard.noted.clear()
    return status, finding


class Run:
    """The inputs of one reader, from number `start` on, and what came of them.

    An input is a byte that says which part of the seeds is damaged, and the content of that file, or the
    script that changes that folder.
    """

    def __init__(self, seeds: Path, outcomes: np.ndarray, start: int) -> None:
        self.seeds, self.outcomes, self.number = seeds, outcomes, start
        self.folder = damaged_copy(seeds)
        # A process that crashed left its last damage behind.
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(seeds, self.folder)
        self.parts = parts(self.folder, seeds)
        self.healthy = [bytes([index]) + part.whole for index, part in enumerate(self.parts)]
        for opened in dict.fromkeys(part.opened for part in self.parts):
            read(opened)
        self.guard = Guard(os.path.realpath(self.folder))
        sys.addaudithook(self.guard)

    @property
    def done(self) -> bool:
        """Whether all outcomes are known."""
        return self.number == len(self.outcomes)

    def mutate(self, data: bytes, largest: int, seed: int) -> bytes:
        """A further input, a function of these alone."""
        rng = random.Random(seed)
        # libFuzzer forgets a healthy file that takes the same branches as another of its checkpoint.
        if not data or rng.random() < AFRESH:
            data = rng.choice(self.healthy)
        return data[:1] + self._changed(data, rng)[: largest - 1]

    def _changed(self, data: bytes, rng: random.Random) -> bytes:
        part, content = self.parts[data[0] % len(self.parts)], data[1:]
        if isinstance(part, Listing):
            return script(part.names, rng)
        if rng.random() < STRUCTURED:
            # Bytes that were damaged before raise errors of many types here.
            with contextlib.suppress(Exception):
                return restructured(content, GRAMMARS[self.seeds.name], rng)
        return damaged(content, rng.choice(self.parts).whole, rng)

    def __call__(self, data: bytes) -> None:
        """Read one input; what came of it is written down unless it is healthy or empty."""
        if not data:
            return
        part = self.parts[data[0] % len(self.parts)]
        with part.damaged(data[1:]) as path:
            held, began = _forget_peak(), time.process_time()
            status, finding = outcome(path, self.guard)
            took, peak = time.process_time() - began, _in_status(_PEAK)
        if data[1:] == part.whole:
            return
        if not finding and peak - held > MEMORY << 10:
            status, finding = FOUND, f"{(peak - held) >> 10} MB more than before"
        if finding:
            note(self.seeds, self.number, part.file, data[1:], finding)
        self.outcomes[self.number] = status, took, peak
        self.number += 1


def note(seeds: Path, number: int, file: Path, content: bytes, finding: str) -> None:
    """Keep a finding, and the file that led to it, beside the seeds."""
    place = seeds.with_name(f"{seeds.name}-{number}")
    place.with_suffix(".bin").write_bytes(content)
    where = str(file.relative_to(damaged_copy(seeds)))
    record = {"reader": seeds.name, "number": number, "file": where, "what": finding}
    place.with_suffix(".json").write_text(json.dumps(record, indent=1))


def _forget_peak() -> int:
    """Let the peak memory of this process count from now on; returns what it holds, in KiB."""
    with contextlib.suppress(
        OSError
    ):  # some containers forbid it: the peak is then that of all inputs
        Path("/proc/self/clear_refs").write_text("5")
    return _in_status(_HELD)


def _in_status(pattern: re.Pattern[bytes]) -> int:
    """A number of KiB of this process; getrusage would count the parent's before the start."""
    found = pattern.search(Path("/proc/self/status").read_bytes())
    return int(found[1]) if found else 0


def hang(number: int, frame: object) -> None:
    """The handler of SIGPROF."""
    raise Hang
