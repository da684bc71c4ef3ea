"""Passes over blocks on every local device: one program for all of them, one block for each."""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._blocks import Block, Segments

ROUNDS_AT_ONCE = 4
"""Rounds under way at a time, so that devices do not wait for the host; a block takes about 25 MB."""

Program = Callable[..., Any]


def over_blocks(
    blocks: Iterable[Block], compute: Callable[[list[Segments]], Any]
) -> Iterator[tuple[Block, Any]]:
    """Yield each block with its result of `compute`, on the host.

    `compute` gets rounds of one shape, one block for each device, and calls `run`. JAX returns from a call
    before its program ends, and `ROUNDS_AT_ONCE` rounds are under way at a time: the devices compute while
    the host packs the next blocks.
    """
    pending: collections.deque[tuple[list[Block], Any]] = collections.deque()
    for round_ in _rounds(blocks, len(_devices())):
        pending.append((round_, compute([block.segments for block in round_])))
        if len(pending) == ROUNDS_AT_ONCE:
            yield from _by_block(*pending.popleft())
    for round_, result in pending:
        yield from _by_block(round_, result)


def run(
    program: Program,
    segments: list[Segments],
    *replicated: Any,
    on_cpu: Mapping[str, bool | int],
    **static: Any,
) -> Any:
    """Run one program over a round; arrays of the result lead with the segments of all its blocks.

    **Arguments:**

    - `program`: takes `Segments`, then `replicated`.
    - `segments`: one stack for each device, or fewer in the last round.
    - `replicated`: arguments that every device gets unchanged.
    - `on_cpu`: options of XLA's compiler, for CPU only.
    - `static`: keyword arguments that are compiled in.
    """
    devices = _devices()
    options = tuple(on_cpu.items()) if platform() == "cpu" else ()
    if len(devices) == 1:
        return _on_one(program, tuple(sorted(static.items())), options)(*segments, *replicated)
    mesh = Mesh(np.array(devices), ("blocks",))
    # The last round may be short. The results of its padding are never read.
    padding = [segments[0]] * (len(devices) - len(segments))
    stacked = jax.tree.map(lambda *parts: _sharded(parts, mesh), *segments, *padding)
    compiled = _on_all(program, mesh, len(replicated), tuple(sorted(static.items())), options)
    return compiled(stacked, *replicated)


def platform() -> str:
    """Platform of the programs that `run` compiles."""
    return _devices()[0].platform


def _rounds(blocks: Iterable[Block], size: int) -> Iterator[list[Block]]:
    waiting: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        shape = block.segments.kernels.shape
        round_ = waiting.setdefault(shape, [])
        round_.append(block)
        if len(round_) == size:
            yield waiting.pop(shape)
    yield from waiting.values()


def _by_block(blocks: list[Block], stacked: Any) -> Iterator[tuple[Block, Any]]:
    """Split the result of a round, which leads with the segments of all devices, block by block."""
    n, result = len(_devices()), jax.tree.map(np.asarray, stacked)
    if n == 1:
        yield blocks[0], result
        return
    each = jax.tree.map(lambda leaf: leaf.reshape(n, -1, *leaf.shape[1:]), result)
    for i, block in enumerate(blocks):
        yield block, jax.tree.map(lambda leaf, i=i: leaf[i], each)


def _devices() -> list[Any]:
    # Each process of a job works by itself on its own devices.
    return jax.local_devices()


Static = tuple[tuple[str, Any], ...]


@functools.cache
def _on_one(program: Program, static: Static, options: Static) -> Program:
    body = functools.partial(program, **dict(static))
    return jax.jit(body, compiler_options=dict(options))


@functools.cache
def _on_all(
    program: Program, mesh: Mesh, n_replicated: int, static: Static, options: Static
) -> Program:
    blocks, replicated = PartitionSpec("blocks"), PartitionSpec()
    specs = (blocks, *(replicated,) * n_replicated)
    body = functools.partial(program, **dict(static))
    sharded = jax.shard_map(body, mesh=mesh, in_specs=specs, out_specs=blocks)
    return jax.jit(sharded, compiler_options=dict(options))


def _sharded(arrays: Sequence[np.ndarray], mesh: Mesh) -> jax.Array:
    shape = (len(arrays) * len(arrays[0]), *arrays[0].shape[1:])
    parts = [jax.device_put(x, device) for x, device in zip(arrays, mesh.devices.flat, strict=True)]
    sharding = NamedSharding(mesh, PartitionSpec("blocks"))
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)
