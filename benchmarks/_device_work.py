"""What `python -m benchmarks.device` times on one device: four statistics, a copy, and a scan."""

import dataclasses
import os
import statistics as middle
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jfilters import statistics
from jfilters.engine import measure
from jfilters.kernels import Kernels
from jfilters.layers import Layer

from ._timing import seconds

TAPS, BINS = 9, 70
EDGES = statistics.fixed_edges(TAPS, BINS)
SCANNED = 100_000_000
"""Kernels of the scan from host memory, where the time allows."""

CHANNELS, LAYERS = 512, 16
"""Channels in and out of a layer, and layers of the network whose quality is measured."""

MOST, TRIED = 1 << 25, 1 << 18
"""Kernels of one call at most, and of the call that tells how many fit the time."""

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

PEAKS = {
    "B200": 8.0e12,
    "H200": 4.8e12,
    "H100 PCIe": 2.0e12,
    "H100": 3.35e12,
    "A100-SXM4-40GB": 1.555e12,
    "A100-PCIE-40GB": 1.555e12,
    "A100": 2.039e12,
    "L40S": 0.864e12,
    "L4": 0.3e12,
    "V100": 0.9e12,
    "T4": 0.32e12,
    "TPU v4": 1.228e12,
    "TPU v5 lite": 0.819e12,
    "TPU v5": 2.765e12,
    "TPU v6": 1.64e12,
}
"""Memory bandwidth in bytes a second by a part of the device kind, as the vendors' data sheets tell it."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """The median time of one work; shares are of kernels read once, over the bandwidth of the device."""

    device: str
    work: str
    dtype: str
    kernels: int
    seconds: float
    calls: int
    per_second: float
    bytes_per_second: float
    share_of_copy: float | None
    share_of_peak: float | None


def peak(kind: str) -> float | None:
    """Return the bandwidth of the data sheet, or None for a device that is not listed."""
    return next((value for name, value in PEAKS.items() if name in kind), None)


def timings(device: Any, budget: float) -> Iterator[Timing]:
    """Time everything on one device within about `budget` seconds, compilation included."""
    start = time.perf_counter()
    with jax.default_device(device):
        n = _size(device, budget / 60)
        copied = _copy_bandwidth(n)
        share = budget / 25
        for name, dtype in DTYPES.items():
            for work, (call, kernels) in _works(n, dtype).items():
                timed = _median(call, share)
                yield _timing(device, work, name, kernels, timed, copied, jnp.dtype(dtype).itemsize)
    left = max(budget - (time.perf_counter() - start), budget / 6)
    yield _timing(device, *_scan(left), copied, 4)


def _timing(
    device: Any,
    work: str,
    dtype: str,
    kernels: int,
    timed: tuple[float, int],
    copied: float,
    itemsize: int,
) -> Timing:
    median, calls = timed
    moved = kernels * TAPS * itemsize / median
    most = peak(device.device_kind)
    return Timing(
        device=device.device_kind,
        work=work,
        dtype=dtype,
        kernels=kernels,
        seconds=median,
        calls=calls,
        per_second=kernels / median,
        bytes_per_second=moved,
        share_of_copy=moved / copied,
        share_of_peak=None if most is None else moved / most,
    )


def moved_coefficients(device: Any) -> int:
    """Count the coefficients of 2^18 kernels that this device puts into another bin than the CPU."""
    kernels = _kernels(TRIED)
    counts = []
    for place in (device, jax.devices("cpu")[0]):
        with jax.default_device(place):
            counts.append(np.asarray(_histogram(jnp.asarray(kernels), _basis(kernels))))
    return int(np.abs(counts[0] - counts[1]).sum()) // 2


def _works(n: int, dtype: Any) -> dict[str, tuple[Callable[[], Any], int]]:
    """The calls by name, with the number of kernels of each."""
    host = _kernels(n)
    basis = _basis(host[:TRIED])
    kernels = jnp.asarray(host).astype(dtype)
    channels = 2 ** int(np.log2(np.clip(n, 1 << 14, 1 << 20)) / 2)
    weight = kernels[: channels**2].reshape(channels, channels, 3, 3)
    layers = max(min(n // channels**2, LAYERS), 1)
    network = Kernels((weight,) * layers, _layers(layers))
    return {
        "moments": (partial(jax.jit(statistics.moments), kernels), n),
        "quality": (partial(_quality, network), layers * channels**2),
        "histogram pass": (partial(_histogram, kernels, basis), n),
        "orthogonality": (partial(jax.jit(statistics.orthogonality), weight), channels**2),
    }


# With drift's histograms where this version has no record of the quality alone.
_quality = jax.jit(statistics.quality)


@jax.jit
def _histogram(kernels: jax.Array, basis: statistics.Basis) -> jax.Array:
    bounds = {"low": float(EDGES[0]), "high": float(EDGES[-1])}
    return statistics.coefficient_histogram(kernels, basis, **bounds, bins=BINS)[0]


def _scan(budget: float) -> tuple[str, str, int, tuple[float, int]]:
    """Measure layers of one array in host memory as a scan does: two passes and orthogonality."""
    channels = CHANNELS if budget > 20 else CHANNELS // 4
    drawn = _kernels(channels**2).reshape(channels, channels, 3, 3)
    weight = jax.device_put(drawn, jax.devices("cpu")[0])  # in the memory of the host

    def network(layers: int) -> Kernels:
        return Kernels((weight,) * layers, _layers(layers))

    measure(network(4))  # compiles
    rate = 4 / seconds(lambda: measure(network(4)))
    layers = int(np.clip(rate * budget / 2, 4, SCANNED // channels**2))
    kernels = layers * channels**2
    return (
        "scan from host memory",
        "float32",
        kernels,
        (seconds(lambda: measure(network(layers))), 1),
    )


def _copy_bandwidth(n: int) -> float:
    """Bytes a second of a kernel that reads and writes as many bytes as `n` kernels have."""
    array = jnp.ones(n * TAPS, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    median, _ = _median(lambda: add(array), 0.5)
    return 2 * array.nbytes / median


def _size(device: Any, budget: float) -> int:
    """Return how many kernels one histogram pass counts in the time, and a sixteenth of memory holds."""
    kernels = jnp.asarray(_kernels(TRIED))
    basis = _basis(np.asarray(kernels))
    median, _ = _median(lambda: _histogram(kernels, basis), budget / 4)
    fits = _memory(device) // 16 // (4 * TAPS)
    return 2 ** int(np.log2(np.clip(TRIED * budget / median / 4, 1 << 14, min(fits, MOST))))


def _memory(device: Any) -> int:
    limits = device.memory_stats() or {}
    return limits.get("bytes_limit", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _median(call: Callable[[], Any], budget: float) -> tuple[float, int]:
    """The median seconds of calls that are repeated until the time is used, and their number."""
    jax.block_until_ready(call())  # compiles
    start, times = time.perf_counter(), []
    while len(times) < 3 or (time.perf_counter() - start < budget and len(times) < 50):
        times.append(seconds(lambda: jax.block_until_ready(call())))
    return middle.median(times), len(times)


def _kernels(n: int) -> np.ndarray:
    """Kernels whose taps correlate; 2^18 of them are drawn, and repeated."""
    rng = np.random.default_rng(0)
    mix = np.linalg.qr(rng.standard_normal((TAPS, TAPS)))[0] * np.geomspace(1, 0.1, TAPS)
    drawn = rng.standard_normal((min(n, TRIED), TAPS), np.float32) @ mix.T.astype(np.float32)
    return np.resize(drawn, (n, TAPS))


def _basis(kernels: np.ndarray) -> statistics.Basis:
    return statistics.fit_basis(statistics.moments(jnp.asarray(kernels)))


def _layers(n: int) -> tuple[Layer, ...]:
    return tuple(Layer(f"conv{i}", depth=i) for i in range(n))
