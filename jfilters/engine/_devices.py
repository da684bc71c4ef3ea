"""Passes over blocks on every local device: a block each, all of them by one program."""

import collections
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._blocks import Block, Slots

MOST_AT_ONCE = 8
"""Blocks that one CPU works on; each holds some 25 MB while it does."""

Program = Callable[..., Any]


def over_blocks(
    blocks: Iterable[Block], work: Callable[[list[Slots]], Any]
) -> Iterator[tuple[Block, Any]]:
    """What `work` finds in each block, on the host; it gets rounds of one shape, a block for each device.

    The devices work while the host packs the next blocks.
    """
    waiting: collections.deque[tuple[list[Block], Future[Any]]] = collections.deque()
    at_once = _at_once()
    with ThreadPoolExecutor(at_once) as threads:
        for round_ in _rounds(blocks, len(_devices())):
            waiting.append((round_, threads.submit(_found, work, round_)))
            if len(waiting) > at_once + 1:
                yield from _apart(*waiting.popleft())
        for round_, found in waiting:
            yield from _apart(round_, found)


def run(
    program: Program,
    slots: list[Slots],
    *same: Any,
    on_cpu: Mapping[str, bool | int],
    **static: Any,
) -> Any:
    """One program over a round of slots; arrays of the result lead with the slots of all of them.

    `same` goes to every device as it is; `static` is compiled in. `on_cpu` are options of XLA's compiler
    there.
    """
    devices = _devices()
    options = tuple(on_cpu.items()) if devices[0].platform == "cpu" else ()
    if len(devices) == 1:
        return _on_one(program, tuple(sorted(static.items())), options)(*slots, *same)
    mesh = Mesh(np.array(devices), ("blocks",))
    # Nobody looks at what the devices do for which a last round has no block.
    missing = [slots[0]] * (len(devices) - len(slots))
    whole = jax.tree.map(lambda *parts: _sharded(parts, mesh), *slots, *missing)
    compiled = _on_all(program, mesh, len(same), tuple(sorted(static.items())), options)
    return compiled(whole, *same)


def cores_here() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _at_once() -> int:
    """The rounds under way at a time.

    One CPU takes one more than it has cores, since no program keeps a core busy all along; elsewhere one
    round travels while the other is worked on.
    """
    devices = _devices()
    alone = len(devices) == 1 and devices[0].platform == "cpu"
    return min(cores_here() + 1, MOST_AT_ONCE) if alone else 2


def _found(work: Callable[[list[Slots]], Any], round_: list[Block]) -> Any:
    return jax.tree.map(np.asarray, work([block.slots for block in round_]))


def _rounds(blocks: Iterable[Block], size: int) -> Iterator[list[Block]]:
    waiting: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        shape = block.slots.kernels.shape
        round_ = waiting.setdefault(shape, [])
        round_.append(block)
        if len(round_) == size:
            yield waiting.pop(shape)
    yield from waiting.values()


def _apart(blocks: list[Block], found: Future[Any]) -> Iterator[tuple[Block, Any]]:
    """The results of a round, which lead with the slots of all devices, block by block."""
    n, result = len(_devices()), found.result()
    if n == 1:
        yield blocks[0], result
        return
    each = jax.tree.map(lambda leaf: leaf.reshape(n, -1, *leaf.shape[1:]), result)
    for i, block in enumerate(blocks):
        yield block, jax.tree.map(lambda leaf, i=i: leaf[i], each)


def _devices() -> list[Any]:
    # Of a job of several processes, each works for itself on the devices that it has.
    return jax.local_devices()


Static = tuple[tuple[str, Any], ...]


@functools.cache
def _on_one(program: Program, static: Static, options: Static) -> Program:
    body = functools.partial(program, **dict(static))
    return jax.jit(body, compiler_options=dict(options))


@functools.cache
def _on_all(program: Program, mesh: Mesh, n_same: int, static: Static, options: Static) -> Program:
    blocks, same = PartitionSpec("blocks"), PartitionSpec()
    specs = (blocks, *(same,) * n_same)
    body = functools.partial(program, **dict(static))
    whole = jax.shard_map(body, mesh=mesh, in_specs=specs, out_specs=blocks)
    return jax.jit(whole, compiler_options=dict(options))


def _sharded(arrays: Sequence[np.ndarray], mesh: Mesh) -> jax.Array:
    shape = (len(arrays) * len(arrays[0]), *arrays[0].shape[1:])
    parts = [jax.device_put(x, device) for x, device in zip(arrays, mesh.devices.flat, strict=True)]
    sharding = NamedSharding(mesh, PartitionSpec("blocks"))
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)
