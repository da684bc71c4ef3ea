"""The rank of a change between two weights, where it is low, and silence where it is not."""

import numpy as np
import pytest

from jfilters.shift.internal import change_rank

from .test_difference import cast, weights


def adapter(rank: int, shape: tuple[int, ...], size: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(rank)
    up, down = (
        rng.standard_normal((shape[0], rank)),
        rng.standard_normal((rank, np.prod(shape[1:]))),
    )
    return (size * up @ down).reshape(shape).astype(np.float32)


@pytest.mark.parametrize("rank", [1, 4, 8])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (64, 4, 5, 5), (32, 3, 3)])
def test_a_low_rank_is_that_of_the_matrix(rank, dtype, shape):
    a = cast(weights(shape=shape), dtype)
    b = cast(a + adapter(rank, shape), dtype)
    if rank <= min(shape[0], int(np.prod(shape[1:]))) // 2:
        change = (b - a).reshape(shape[0], -1).astype(np.float64)
        assert change_rank(a, b) == np.linalg.matrix_rank(change, tol=0.2) == rank


def test_a_change_of_full_rank_has_none():
    a = weights()
    assert change_rank(a, a + np.float32(0.01) * weights(1)) is None
    assert change_rank(a, a + adapter(12, a.shape)) is None


def test_no_change_and_what_is_not_finite_have_none():
    a = weights()
    b = a.copy()
    b[0, 0, 0, 0] = np.nan
    assert change_rank(a, a) is None
    assert change_rank(a, b) is None


def test_a_change_that_rounding_hides_has_none():
    a = cast(weights(), "bfloat16")
    assert change_rank(a, cast(a + adapter(2, a.shape, 1e-4), "bfloat16")) is None


def test_the_same_for_the_same_weights():
    a = weights()
    assert change_rank(a, a + adapter(3, a.shape)) == change_rank(a, a + adapter(3, a.shape)) == 3
