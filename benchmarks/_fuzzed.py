"""One process that opens damaged checkpoints of one reader and writes down what came of each.

The outcomes lie in a file that outlives the process, so that a crash of a library is known by its number.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jfilters.converters import open_checkpoint
from jfilters.errors import CheckpointError

from ._mutations import damaged
from ._seeds import entry

LIMIT = 10.0
"""Seconds that one input may take."""

PENDING, REFUSED, READ, FOUND = range(4)
OUTCOME = np.dtype([("status", "u1"), ("seconds", "f4"), ("peak", "u4")])
"""One input: what came of it, how long it took, and the peak memory of the process so far in KiB."""

_PEAK = re.compile(rb"VmHWM:\s+(\d+)")
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


@dataclasses.dataclass(frozen=True)
class Input:
    """A seed, one of its files, and what is in that file instead."""

    seed: Path
    file: Path
    content: bytes

    @contextlib.contextmanager
    def in_place(self, whole: bytes) -> Iterator[Path]:
        """What to open while the damage lasts."""
        self.file.write_bytes(self.content)
        yield entry(self.seed)
        self.file.write_bytes(whole)


def inputs(seeds: Path, key: str, start: int, stop: int) -> Iterator[tuple[Input, bytes]]:
    """The inputs start..stop, each a function of its number alone, with the whole content."""
    files = {
        seed: {file: file.read_bytes() for file in sorted(seed.rglob("*")) if file.is_file()}
        for seed in sorted(seeds.iterdir())
    }
    every = [content for group in files.values() for content in group.values()]
    for number in range(start, stop):
        rng = random.Random(f"{key}:{number}")
        seed = rng.choice(list(files))
        file, whole = rng.choice(list(files[seed].items()))
        yield Input(seed, file, damaged(whole, rng.choice(every), rng)), whole


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
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        read(path)
        status, finding = READ, ""
    except CheckpointError:
        status, finding = REFUSED, ""
    except Hang:
        status, finding = FOUND, f"more than {LIMIT:g} s"
    except Exception:
        status, finding = FOUND, traceback.format_exc()[-2000:]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        guard.armed = False
    if guard.noted:
        status, finding = FOUND, "; ".join(guard.noted)
        guard.noted.clear()
    return status, finding


def run(seeds: Path, outcomes: np.ndarray, start: int, key: str, until: float) -> None:
    """Fill `outcomes` from `start` on until the moment `until`, in seconds since the epoch."""
    # A process that crashed left its last damage behind.
    place = seeds.with_name(f"{seeds.name}-damaged")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(seeds, place)
    for seed in sorted(place.iterdir()):
        read(entry(seed))
    guard = Guard(os.path.realpath(place))
    sys.addaudithook(guard)
    for number, (damage, whole) in enumerate(inputs(place, key, start, len(outcomes)), start):
        with damage.in_place(whole) as path:
            began = time.perf_counter()
            status, finding = outcome(path, guard)
            took = time.perf_counter() - began
        if finding:
            note(seeds, number, damage, finding)
        outcomes[number] = status, took, _peak()
        if time.time() > until:
            return


def note(seeds: Path, number: int, damage: Input, finding: str) -> None:
    """Keep a finding, and the file that led to it, beside the seeds."""
    place = seeds.with_name(f"{seeds.name}-{number}")
    place.with_suffix(".bin").write_bytes(damage.content)
    where = str(damage.file.relative_to(damage.seed.parent))
    record = {"reader": seeds.name, "number": number, "file": where, "what": finding}
    place.with_suffix(".json").write_text(json.dumps(record, indent=1))


def _peak() -> int:
    """Peak memory of this process in KiB; getrusage would count the parent's before the start."""
    return int(_PEAK.search(Path("/proc/self/status").read_bytes())[1])


def _hang(number: int, frame: object) -> None:
    raise Hang


def main(seeds: str, outcomes: str, start: str, key: str, until: str) -> None:
    """Run with the arguments of the command line."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _hang)
    shared = np.memmap(outcomes, OUTCOME, "r+")
    run(Path(seeds), shared, int(start), key, float(until))


if __name__ == "__main__":
    main(*itertools.islice(sys.argv, 1, 6))
