"""Counting of buckets: the loop of a histogram, in one form for CPU and one for accelerators.

Both return the same integers. A bucket is the bin of one coefficient, from 0 on.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, Num, UInt8, UInt16, UInt32

from ._meshes import spread

Buckets = list[Int32[Array, "parts *rows"]]
"""For each component the buckets of all kernels."""

Counts = list[Int32[Array, "parts d size"]]
"""For each set the counts of its kernels."""

PAIRS_FROM = 32_768
"""Kernels of one histogram from which two components are counted at once.

Their joint histogram has 5,329 bins: too many to fill and to sum for few kernels.
"""

FIELD_BITS = 4
"""Bits of one counter of `by_fields`."""

FIELDS = 8
"""Counters in one word: a power of two, so that a shift decodes a bucket."""

GROUP = 2**FIELD_BITS - 1
"""Kernels that one counter can count. XLA on GPU sums fewer than 32 of them by one thread in one loop."""

WORDS_AT_ONCE = 16
"""Words that one loop sums, so that they stay in registers."""

_HALF = FIELDS // 2
_WIDE = FIELD_BITS * _HALF
_WIDE_GROUPS = (2**_WIDE - 1) // GROUP
"""Groups whose counts a field of half a word can sum."""


def by_scatter(
    buckets: Buckets, set_of: Int32[Array, "parts *rows"], *, size: int, sets: int
) -> Counts:
    """Count each set by a scatter a component, or one for two into their joint histogram.

    For CPU. `set_of` is `sets` where a kernel does not count.
    """
    parts, rows = len(set_of), math.prod(set_of.shape[1:])
    width = 2 if rows >= PAIRS_FROM else 1
    groups = [buckets[i : i + width] for i in range(0, len(buckets), width)]
    # Each part of each set has counters of its own, one behind the other, and what does not count the last.
    part = jax.lax.broadcasted_iota(jnp.int32, set_of.shape, 0)
    place = jnp.where(set_of < sets, parts * set_of + part, sets * parts)
    joint = [
        functools.reduce(lambda index, bucket: index * size + bucket, group, place)
        for group in groups
    ]
    histograms = []
    for index, group in zip(_by_one_loop(joint), groups, strict=True):
        counters = size ** len(group)
        empty = jnp.zeros((sets * parts + 1) * counters, jnp.int32)
        counts = empty.at[index].add(1, mode="promise_in_bounds", wrap_negative_indices=False)
        counts = counts[: sets * parts * counters].reshape(sets, parts, *len(group) * [size])
        histograms += [counts] if len(group) == 1 else [counts.sum(axis=3), counts.sum(axis=2)]
    return list(jnp.stack(histograms, axis=2))


def by_fields(
    buckets: Buckets, set_of: Int32[Array, "parts *rows"], *, size: int, sets: int
) -> Counts:
    """Count each set as `by_scatter`, without a scatter, in short counters that share a word.

    For GPU and TPU. A word holds `FIELDS` counters of `FIELD_BITS` bits. Each word is summed over `GROUP`
    kernels, which is as far as a counter reaches; then the counters are widened twice. Nine words take 27
    operations a coefficient, where a comparison with each of 72 buckets takes 216, and they are summed by
    one loop, which reads each coefficient once and not 72 times.
    """
    codes = _codes(buckets, size)
    everything = _counts(codes, set_of < sets, size)
    if sets == 1:
        return [everything]
    chosen = set_of == 1
    # Few blocks hold anything of a subset of sparse kernels.
    subset = jax.lax.cond(
        jnp.any(chosen),
        lambda: _counts(codes, chosen, size),
        lambda: jnp.zeros_like(everything),
    )
    return [everything - subset, subset]


def _codes(
    buckets: Buckets, size: int
) -> UInt8[Array, "d parts *rows"] | UInt16[Array, "d parts *rows"]:
    """Return the buckets of all components in the shortest type that has a word to spare."""
    dtype = jnp.uint8 if size <= _nowhere(jnp.uint8) - FIELDS else jnp.uint16
    # Written together by one loop, which reads the kernels once; one byte a coefficient.
    return jnp.stack(jax.lax.optimization_barrier([bucket.astype(dtype) for bucket in buckets]))


def _nowhere(dtype: jnp.dtype | type) -> int:
    """The code of what does not count, the word of which no loop sums."""
    return int(jnp.iinfo(dtype).max)


def _counts(
    codes: Num[Array, "d parts *rows"], counted: Bool[Array, "parts *rows"], size: int
) -> Int32[Array, "parts d size"]:
    if (
        counted.ndim > 2
    ):  # a weight on a mesh: its output channels become parts, whole on one device each
        of_channels = _counts(spread(codes[:, 0], axis=1), spread(counted[0], axis=0), size)
        return jnp.sum(of_channels, axis=0, keepdims=True)
    d, parts, rows = codes.shape
    nowhere = _nowhere(codes.dtype)
    groups = -(-rows // GROUP)
    masked = jnp.where(counted[None], codes, jnp.asarray(nowhere, codes.dtype))
    padding = ((0, 0), (0, 0), (0, groups * GROUP - rows))
    # Kernels of one group are far from each other, so that neighbors are read by neighboring threads.
    grouped = jnp.pad(masked, padding, constant_values=nowhere).reshape(d, parts, GROUP, groups)
    words = -(-size // FIELDS)
    fields = [
        _fields(_words(grouped, range(first, min(first + WORDS_AT_ONCE, words))))
        for first in range(0, words, WORDS_AT_ONCE)
    ]
    return jnp.moveaxis(jnp.concatenate(fields)[:size], 0, 2).swapaxes(0, 1)


def _words(
    grouped: Num[Array, "d parts group groups"], words: range
) -> list[UInt32[Array, "d parts groups"]]:
    """Sum over each group the words of the range."""
    wide = grouped.astype(jnp.uint32)
    word, field = wide // FIELDS, wide % FIELDS
    one = jnp.left_shift(jnp.uint32(1), FIELD_BITS * field)
    return _sums([jnp.where(word == w, one, jnp.uint32(0)) for w in words], axis=2)


def _fields(words: list[UInt32[Array, "d parts groups"]]) -> Int32[Array, "counters d parts"]:
    """Sum the counters of words over all groups, and return them in order."""
    d, parts, groups = words[0].shape
    chunks = max(-(-groups // _WIDE_GROUPS), 1)
    width = -(-groups // chunks)
    padding = ((0, 0), (0, 0), (0, chunks * width - groups))
    mask = jnp.uint32(GROUP | GROUP << _WIDE)
    pairs = [
        (jnp.pad(word, padding).reshape(d, parts, chunks, width) >> (FIELD_BITS * j)) & mask
        for word in words
        for j in range(_HALF)
    ]
    # Stacked, since XLA would start a program for each of these few numbers.
    totals = jax.lax.optimization_barrier(jnp.stack(_sums(pairs, axis=3)))
    halves = jnp.stack([totals & (2**_WIDE - 1), totals >> _WIDE]).astype(jnp.int32)
    halves = halves.sum(axis=4, dtype=jnp.int32)
    by_word = halves.reshape(2, len(words), _HALF, d, parts).swapaxes(0, 1)
    return by_word.reshape(len(words) * FIELDS, d, parts)


def _sums(arrays: list[UInt32[Array, "*axes"]], *, axis: int) -> list[UInt32[Array, "*fewer"]]:
    """Sum several arrays over one axis by one loop."""
    zeros = [jnp.zeros((), x.dtype) for x in arrays]

    def add(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
        return [x + y for x, y in zip(a, b, strict=True)]

    return list(jax.lax.reduce(arrays, zeros, add, (axis,)))


def _by_one_loop(
    arrays: Sequence[Int32[Array, "parts *rows"]],
) -> list[Int32[Array, "parts *rows"]]:
    """Return the same arrays, computed together and written to memory.

    XLA on CPU writes several arrays by one loop, in which what they share is computed once, only where
    they are one reduction: here of two equal halves by "or", which gives each number back. And what a
    scatter takes has to be written, or the scatter computes it one element at a time.
    """
    doubled = [jnp.broadcast_to(x[..., None], (*x.shape, 2)) for x in arrays]
    zeros = [jnp.zeros((), x.dtype) for x in arrays]

    def either(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
        return [x | y for x, y in zip(a, b, strict=True)]

    single = jax.lax.reduce(doubled, zeros, either, (arrays[0].ndim,))
    return list(jax.lax.optimization_barrier(single))
