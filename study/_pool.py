"""All networks of the design, a few at a time, each worker a process on one thread."""

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from ._design import Run
from ._settings import Settings

ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Variables that keep a worker on one thread, so that sums are always taken in the same order."""
CACHE = ".programs"
"""Where compiled programs are kept: networks of one design share most of them."""

Outcome = dict | BaseException


def trained(
    runs: Sequence[Run], settings: Settings, out: Path, workers: int
) -> Iterator[tuple[Run, Outcome]]:
    """Each run as it ends, with its record or with the error that it ended in.

    Whoever stops listening, or interrupts, stops the workers too.
    """
    os.environ |= ONE_THREAD
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, context, _start, (out,))
    try:
        waiting = {pool.submit(_run, run, settings, out): run for run in runs}
        for future in concurrent.futures.as_completed(waiting):
            yield waiting[future], future.exception() or future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


def _start(out: Path):
    """In a worker, before anything is imported that looks at the environment."""
    # The parent ends its workers; a traceback of each at Ctrl-C would say nothing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import jax

    jax.config.update("jax_compilation_cache_dir", str(out.absolute() / CACHE))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _run(run: Run, settings: Settings, out: Path) -> dict:
    from ._one import train_one

    return train_one(run, settings, out)
