"""Passes over blocks on every local device: a block each, all of them by one program."""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._blocks import Block, Slots

ROUNDS_AT_ONCE = 4
"""Rounds under way at a time, so that devices do not wait for the host; a block takes some 25 MB."""

Program = Callable[..., Any]


def over_blocks(
    blocks: Iterable[Block], work: Callable[[list[Slots]], Any]
) -> Iterator[tuple[Block, Any]]:
    """What `work` finds in each block, on the host; it gets rounds of one shape, a block for each device.

    JAX returns from a call before its program ends: the devices work while the host packs the next blocks.
    """
    waiting: collections.deque[tuple[list[Block], Any]] = collections.deque()
    for round_ in _rounds(blocks, len(_devices())):
        waiting.append((round_, work([block.slots for block in round_])))
        if len(waiting) == ROUNDS_AT_ONCE:
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


def _rounds(blocks: Iterable[Block], size: int) -> Iterator[list[Block]]:
    waiting: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        shape = block.slots.kernels.shape
        round_ = waiting.setdefault(shape, [])
        round_.append(block)
        if len(round_) == size:
            yield waiting.pop(shape)
    yield from waiting.values()


def _apart(blocks: list[Block], found: Any) -> Iterator[tuple[Block, Any]]:
    """The results of a round, which lead with the slots of all devices, block by block."""
    n, result = len(_devices()), jax.tree.map(np.asarray, found)
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
