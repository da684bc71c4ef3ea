"""Passes over blocks on every local device: a block each, all of them by one program."""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._blocks import Block

IN_FLIGHT = 2  # rounds that the devices work on while the host packs the next

Program = Callable[..., Any]


def over_blocks(
    blocks: Iterable[Block], work: Callable[[list[Block]], Any]
) -> Iterator[tuple[Block, Any]]:
    """What `work` finds in each block; it gets rounds of one shape, as many as there are devices.

    The devices work while the host packs the next blocks.
    """
    waiting: collections.deque[tuple[list[Block], Any]] = collections.deque()
    for round_ in _rounds(blocks, len(_devices())):
        waiting.append((round_, work(round_)))
        if len(waiting) > IN_FLIGHT:
            yield from _apart(*waiting.popleft())
    for round_, found in waiting:
        yield from _apart(round_, found)


def run(program: Program, blocks: list[Block], *same: Any, **static: Any) -> Any:
    """One program over a round of blocks; arrays of the result lead with the slots of all of them.

    `same` goes to every device as it is; `static` is compiled in.
    """
    devices = _devices()
    if len(devices) == 1:
        (block,) = blocks
        compiled = _on_one(program, tuple(sorted(static.items())))
        return compiled(block.kernels, block.valid, block.scales, *same)
    mesh = Mesh(np.array(devices), ("blocks",))
    missing = [_nothing_like(blocks[0])] * (len(devices) - len(blocks))
    arrays = [
        _sharded([getattr(block, name) for block in (*blocks, *missing)], mesh)
        for name in ("kernels", "valid", "scales")
    ]
    compiled = _on_all(program, mesh, len(same), tuple(sorted(static.items())))
    return compiled(*arrays, *same)


def _rounds(blocks: Iterable[Block], size: int) -> Iterator[list[Block]]:
    waiting: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        round_ = waiting.setdefault(block.kernels.shape, [])
        round_.append(block)
        if len(round_) == size:
            yield waiting.pop(block.kernels.shape)
    yield from waiting.values()


def _apart(blocks: list[Block], found: Any) -> Iterator[tuple[Block, Any]]:
    """The results of a round, which lead with the slots of all devices, block by block."""
    n = len(_devices())
    each = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(n, -1, *leaf.shape[1:]), found)
    for i, block in enumerate(blocks):
        yield block, jax.tree.map(lambda leaf, i=i: leaf[i], each)


def _devices() -> list[Any]:
    # Of a job of several processes, each works for itself on the devices that it has.
    return jax.local_devices()


@functools.cache
def _on_one(program: Program, static: tuple[tuple[str, Any], ...]) -> Program:
    return jax.jit(functools.partial(program, **dict(static)))


@functools.cache
def _on_all(
    program: Program, mesh: Mesh, n_same: int, static: tuple[tuple[str, Any], ...]
) -> Program:
    blocks, same = PartitionSpec("blocks"), PartitionSpec()
    specs = (blocks,) * 3 + (same,) * n_same
    body = functools.partial(program, **dict(static))
    return jax.jit(jax.shard_map(body, mesh=mesh, in_specs=specs, out_specs=blocks))


def _sharded(arrays: list[np.ndarray], mesh: Mesh) -> jax.Array:
    shape = (len(arrays) * len(arrays[0]), *arrays[0].shape[1:])
    parts = [jax.device_put(x, device) for x, device in zip(arrays, mesh.devices.flat, strict=True)]
    sharding = NamedSharding(mesh, PartitionSpec("blocks"))
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


def _nothing_like(block: Block) -> Block:
    """Work for a device that a last round leaves without any; nobody looks at what comes of it."""
    return Block(
        np.zeros_like(block.kernels),
        np.zeros_like(block.valid),
        np.zeros_like(block.counts),
        block.owners,
        block.starts,
        np.ones_like(block.scales),
    )
