"""The process that fuzzes one reader: `python -m benchmarks._guided SEEDS OUTCOMES START KEY`.

Where atheris is installed, libFuzzer leads it: an input that reaches new branches of jfilters is kept, and
damaged further. Elsewhere the healthy checkpoints alone are damaged, again and again.
"""

import contextlib
import importlib.util
import itertools
import os
import random
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ._mutations import LARGEST

if TYPE_CHECKING:
    from ._fuzzed import Run

GUIDED = importlib.util.find_spec("atheris") is not None

# The clocks of libFuzzer and atheris would count the time that this process is stopped, and 0 means to
# atheris at once: so they get a million seconds. `damaged` does several mutations at a time.
_OPTIONS = (
    *(f"-max_len={1 + LARGEST}", "-len_control=0", "-mutate_depth=1"),
    *("-timeout=1000000", "-reload=0", "-detect_leaks=0"),
)


def instrumented() -> contextlib.AbstractContextManager:
    """Modules of jfilters imported within it count the branches they take."""
    if not GUIDED:
        return contextlib.nullcontext()
    import atheris

    return atheris.instrument_imports(include=["jfilters"])


def follow(run: "Run", kept: Path, seed: int) -> NoReturn:
    """Let libFuzzer choose what is damaged until the run is done; this ends the process."""
    import atheris

    def target(data: bytes) -> None:
        run(data)
        if run.done:
            os._exit(0)

    kept.mkdir(exist_ok=True)
    for number, data in enumerate(run.healthy):
        (kept / f"seed-{number}").write_bytes(data)
    places = (f"-artifact_prefix={kept.parent}{os.sep}", str(kept))
    arguments = [sys.argv[0], f"-seed={seed}", *_OPTIONS, *places]
    atheris.Setup(arguments, target, custom_mutator=run.mutate)
    atheris.Fuzz()
    raise RuntimeError("libFuzzer ended before the run was done")


def wander(run: "Run", rng: random.Random) -> None:
    """Damage the healthy checkpoints until the run is done."""
    while not run.done:
        run(run.mutate(rng.choice(run.healthy), 1 + LARGEST, rng.getrandbits(32)))


def main(seeds: str, outcomes: str, start: str, key: str) -> None:
    """Run with the arguments of the command line."""
    warnings.simplefilter("ignore")
    with instrumented():
        from . import _fuzzed
    signal.signal(signal.SIGPROF, _fuzzed.hang)
    shared = np.memmap(outcomes, _fuzzed.OUTCOME, "r+")
    run = _fuzzed.Run(Path(seeds), shared, int(start))
    rng = random.Random(f"{key}:{start}")
    if GUIDED:
        follow(run, Path(seeds).with_suffix(".kept"), rng.randrange(1, 1 << 32))
    wander(run, rng)


if __name__ == "__main__":
    main(*itertools.islice(sys.argv, 1, 5))
