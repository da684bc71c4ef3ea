"""Products of matrices and sums over indices, as low-rank updates of weights are merged with."""

import math
from collections.abc import Callable

import numpy as np

from ._step import Step, broadcast, wide
from ._tensor import MAX_RANK
from ._value import Value

_PER_ELEMENT = 32
"""Multiplications of a matrix product in the time that writing an element takes elsewhere."""


def _matmul(step: Step) -> Value:
    a, b = step.input(0), step.input(1)
    step.expect_floats(a, b)
    left = a.shape if len(a.shape) != 1 else (1, *a.shape)
    right = b.shape if len(b.shape) != 1 else (*b.shape, 1)
    if not left or not right or left[-1] != right[-2]:
        step.wrong(f"shapes {a.shape} and {b.shape}")
    outer = broadcast(step, left[:-2], right[:-2])
    # An input of one axis has none in the result.
    shape = outer + left[-2:-1] * (len(a.shape) > 1) + right[-1:] * (len(b.shape) > 1)
    cost = math.prod(shape) * left[-1] // _PER_ELEMENT
    return step.makes(shape, a.dtype, lambda x, y: np.matmul(wide(x), wide(y)), a, b, cost=cost)


def _gemm(step: Step) -> Value:
    a, b, c = step.input(0), step.input(1), step.optional(2)
    step.expect_floats(*(x for x in (a, b, c) if x is not None))
    if len(a.shape) != 2 or len(b.shape) != 2:
        step.wrong(f"shapes {a.shape} and {b.shape}")
    turned_a, turned_b = step.number("transA", 0), step.number("transB", 0)
    rows, inner = a.shape[::-1] if turned_a else a.shape
    depth, columns = b.shape[::-1] if turned_b else b.shape
    if inner != depth or (c and broadcast(step, c.shape, (rows, columns)) != (rows, columns)):
        step.wrong(f"shapes {a.shape} and {b.shape}")
    alpha, beta = step.real("alpha", 1.0), step.real("beta", 1.0)

    def compute(a: np.ndarray, b: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        left, right = wide(a.T if turned_a else a), wide(b.T if turned_b else b)
        product = alpha * (left @ right)
        return product if c is None else product + beta * wide(c)

    cost = rows * columns * inner // _PER_ELEMENT
    return step.makes((rows, columns), a.dtype, compute, a, b, c, cost=cost)


def _einsum(step: Step) -> Value:
    values = [step.input(position) for position in range(max(len(step.inputs), 1))]
    step.expect_floats(*values)
    equation = step.text("equation", "").replace(" ", "")
    terms, sizes, result = _indices(step, equation, values)
    if len(set(result)) < len(result) or not sizes.keys() >= set(result):
        step.wrong(f"equation {equation!r}")
    shape = [sizes[index] for index in result]
    spelled = f"{','.join(terms)}->{result}"
    compute = lambda *arrays: np.einsum(spelled, *map(wide, arrays))  # noqa: E731
    return step.makes(shape, values[0].dtype, compute, *values, cost=math.prod(sizes.values()))


def _indices(
    step: Step, equation: str, values: list[Value]
) -> tuple[list[str], dict[str, int], str]:
    """The indices of each input, the size of each index, and the indices of the result."""
    inputs, arrow, result = equation.partition("->")
    terms, sizes = inputs.split(","), {}
    letters = "".join(terms)
    if len(equation) > MAX_RANK**2 or not (letters + result).isalpha() or not equation.isascii():
        step.unread(f"equation {equation[: MAX_RANK**2]!r}")
    for term, value in zip(terms, values, strict=True):
        for index, size in zip(term, value.shape, strict=True):
            if sizes.setdefault(index, size) != size:
                step.wrong(f"equation {equation!r} for shapes that differ along {index}")
    single = sorted(index for index in sizes if letters.count(index) == 1)
    return terms, sizes, result if arrow else "".join(single)


PRODUCTS: dict[str, Callable[[Step], Value]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
}
"""All of them, by name."""
