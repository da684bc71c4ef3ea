"""Every test runs with checked shapes and types, strict promotion, and warnings as errors."""

import ctypes
import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A console takes its width from here once and for all; parallel workers have it set.
os.environ.pop("COLUMNS", None)

import hypothesis
import jax
import pytest
from jaxtyping import install_import_hook

# Never uninstalled: modules that functions and tests import later are checked as well.
install_import_hook("jfilters", "beartype.beartype")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Most of the time goes into compiling small programs. A worker that has released its programs, and the next
# session, read them from here in a tenth of that. One folder a worker, since JAX writes them in place.
PROGRAMS = Path(__file__).parents[1] / ".pytest_cache/xla"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
jax.config.update("jax_compilation_cache_dir", str(PROGRAMS / WORKER))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

hypothesis.settings.register_profile(
    "default", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=50
)
hypothesis.settings.register_profile(
    "fast", hypothesis.settings.get_profile("default"), max_examples=10
)
hypothesis.settings.load_profile("default")

# A worker compiles thousands of programs in the whole suite, 1 to 2 MB each. They are released between
# modules, and only where they are many: later modules have to read again the programs that they share.
RESIDENT_BYTES = 1 << 30
GROWTH_BYTES = 1 << 28


@pytest.fixture(scope="session")
def release_limit():
    """Bytes above which programs are released; more where libraries such as torch take them."""
    return [RESIDENT_BYTES]


@pytest.fixture(scope="module", autouse=True)
def released(release_limit):
    """Releases the programs that a worker has compiled, once it is large."""
    yield
    if resident_bytes() > release_limit[0]:
        jax.clear_caches()
        gc.collect()
        # The C library keeps the memory otherwise that is free between what is still in use.
        ctypes.CDLL(None).malloc_trim(0)
        release_limit[0] = max(RESIDENT_BYTES, resident_bytes() + GROWTH_BYTES)


def resident_bytes() -> int:
    """The memory of this process; 0 where the system does not say it as Linux does."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
