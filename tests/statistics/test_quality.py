import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters.statistics import (
    VERDICTS,
    Quality,
    judge,
    layer_quality,
    quality,
    randomness_threshold,
)
from jfilters.statistics._verdict import Limits, conditions

COLUMNS = (
    *("sparsity", "variance_entropy", "variance_entropy_ratio", "orthogonality", "l1", "l2"),
    *("max_abs", "n_nonfinite", "verdict"),
)


def weight(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def low_rank(out, inner):
    return np.einsum("oi,hw->oihw", weight(out, inner), np.ones((3, 3), np.float32))


def with_nan():
    broken = weight(8, 8, 3, 3)
    broken[1, 2, 0, 0] = np.nan
    return broken


def sparse():
    return weight(32, 32, 3, 3) * (np.random.default_rng(1).random((32, 32, 1, 1)) > 0.4)


LAYERS = {
    "random": weight(16, 16, 3, 3),
    "few": weight(4, 1, 3, 3),
    "zero": np.zeros((8, 8, 3, 3), np.float32),
    "broken": with_nan(),
    "one channel": weight(1, 32, 3, 3),
    "sparse": sparse(),
    "low": low_rank(32, 32),
    "collapsed": low_rank(32, 32) * (sparse() != 0),
    "many": weight(64, 40, 3, 3),  # of several segments
    "wide": weight(16, 16, 5, 5),
    "line": weight(16, 16, 7),
    "huge": 1e25 * weight(16, 16, 3, 3, seed=2),
    "tiny": 1e-25 * weight(16, 16, 3, 3, seed=2),
}


def kernels(layers=None):
    return jf.from_params({name: LAYERS[name] for name in layers or LAYERS}, axes="OIHW")


def test_numbers_are_those_that_a_scan_writes():
    network = kernels()
    found = {row["layer"]: row for row in quality(network).rows()}
    sizes = {shape.shape[2:] for shape in network.weights}
    assert sizes == {(3, 3), (5, 5), (7,)}
    for spatial in sizes:
        scan = jf.scan({"net": network}, jf.Options(spatial=spatial), progress=False)
        for row in scan.layer_table.to_pylist():
            expected = {column: row[column] for column in COLUMNS}
            numbers = {column: found[row["layer"]][column] for column in COLUMNS}
            assert numbers.pop("verdict") == expected.pop("verdict"), row["layer"]
            a, b = (np.array(list(x.values()), float) for x in (numbers, expected))
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6, err_msg=row["layer"])


@pytest.mark.parametrize("name", LAYERS)
def test_one_weight_gives_scalars_equal_to_the_twin_on_the_host(name):
    found, expected = quality(LAYERS[name]), layer_quality(LAYERS[name])
    assert found.sparsity.shape == ()
    for column in ("sparsity", "variance_entropy", "orthogonality"):
        np.testing.assert_allclose(
            getattr(found, column), getattr(expected, column), rtol=2e-5, atol=1e-6, err_msg=column
        )
    assert found.verdict_labels() == [expected.verdict.label]


def test_kernels_as_rows_are_those_of_their_weight_but_for_channels():
    rows = quality(LAYERS["random"].reshape(-1, 9))
    whole = quality(LAYERS["random"])
    for column in set(COLUMNS) - {"orthogonality"}:
        np.testing.assert_allclose(getattr(rows, column), getattr(whole, column), rtol=1e-6)
    assert np.isnan(rows.orthogonality)
    assert rows.n_kernels == (256,)


def test_jit_is_no_jit_and_vmap_is_a_loop():
    network = kernels(["random", "few", "zero"])
    plain, compiled = quality(network), jax.jit(quality)(network)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain, compiled)
    ensemble = jax.tree.map(lambda w: jnp.stack([w, 2 * w, w + 1]), network)
    batched = jax.vmap(quality)(ensemble)
    for i in range(3):
        member = quality(jax.tree.map(lambda w, i=i: w[i], ensemble))
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6),
            batched,
            member,
        )
    assert batched.l1.shape == (3, 3)


def test_scale_changes_norms_alone():
    one, three = quality(LAYERS["sparse"]), quality(3 * LAYERS["sparse"])
    for column in ("l1", "l2", "max_abs"):
        np.testing.assert_allclose(getattr(three, column), 3 * getattr(one, column), rtol=1e-5)
    for column in ("sparsity", "variance_entropy", "orthogonality", "verdict"):
        np.testing.assert_allclose(getattr(three, column), getattr(one, column), rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_16_bits_are_widened(dtype):
    narrow = jnp.asarray(weight(300, 8, 3, 3), dtype)
    found, expected = quality(narrow), quality(narrow.astype(jnp.float32))
    assert found.orthogonality.dtype == jnp.float32
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_float64_is_kept():
    with jax.enable_x64(True):
        found = quality(jnp.asarray(1 + 1e-8 * np.float64(weight(32, 32, 3, 3))))
        assert found.variance_entropy.dtype == jnp.float64
        assert found.n_nonfinite.dtype == jnp.int32


def test_undefined_numbers_do_not_stop_under_debug_nans():
    with jax.debug_nans(True):
        found = quality(LAYERS["few"])
    assert np.isnan(found.variance_entropy_ratio)


class TestRows:
    def test_hold_labels_and_none(self):
        row = quality(kernels(["few"])).rows()[0]
        assert row["layer"] == "few"
        assert row["verdict"] == "too-few-kernels"
        assert row["variance_entropy_ratio"] is None
        assert row["n_kernels"] == 4

    def test_under_jit(self):
        with pytest.raises(ValueError, match="call rows outside") as raised:
            jax.jit(lambda w: quality(w).rows())(LAYERS["few"])
        assert "racer" not in str(raised.value)

    def test_of_a_batch(self):
        batch = jax.vmap(quality)(jnp.stack([LAYERS["few"], LAYERS["few"]]))
        with pytest.raises(ValueError, match="index the record first"):
            batch.rows()
        assert len(jax.tree.map(lambda x: x[0], batch).rows()) == 1


EXPECTED = r"expected \(n, d\) rows, \(out, in, \*spatial\) weights or Kernels, got"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (np.ones(3, np.float32), ValueError),
        (np.float32(1), ValueError),
        ({"conv": 1}, TypeError),
        (jf.Kernels((), ()), ValueError),
    ],
)
def test_anything_else_is_an_error_that_says_what_is_expected(value, error):
    with pytest.raises(error, match=EXPECTED):
        quality(value)


@pytest.mark.parametrize("dtype", [np.int8, np.complex64, bool])
def test_weights_that_are_no_floats(dtype):
    with pytest.raises(TypeError, match="expected floating-point weights, got"):
        quality(np.ones((4, 4, 3, 3), dtype))


def test_no_kernel_is_too_few():
    found = quality(np.zeros((0, 9), np.float32))
    assert found.verdict_labels() == ["too-few-kernels"]
    assert np.isnan(found.sparsity)


def test_a_record_is_a_pytree():
    record = quality(kernels(["few", "zero"]))
    assert isinstance(jax.tree.map(lambda x: x, record), Quality)
    assert record.names == ("few", "zero")


def test_conditions_of_arrays_are_those_of_numbers():
    n, d = np.repeat([5, 20, 60, 4096], 27), 9
    entropy, sparsity, nonfinite = np.meshgrid([0.3, 0.6, 0.95], [0.0, 0.2, math.nan], [0, 1, 0])
    entropy, sparsity, nonfinite = (np.tile(x.ravel(), 4) for x in (entropy, sparsity, nonfinite))
    threshold = np.asarray(randomness_threshold(n, d))
    max_abs = np.where(np.arange(len(n)) % 5 == 0, 0.0, 1.0)
    limits = Limits.of(n.astype(np.float64), d)
    fits = conditions(
        limits,
        n_kernels=n,
        n_nonfinite=nonfinite,
        max_abs=max_abs,
        sparsity=sparsity,
        variance_entropy=entropy,
        threshold=threshold,
    )
    found = [VERDICTS[i] for i in np.argmax(np.stack(fits), axis=0)]
    expected = [
        judge(
            n_kernels=int(n[i]),
            n_nonfinite=int(nonfinite[i]),
            max_abs=float(max_abs[i]),
            sparsity=float(sparsity[i]),
            variance_entropy=float(entropy[i]),
            threshold=float(threshold[i]),
            d=d,
        ).label
        for i in range(len(n))
    ]
    assert found == expected
    assert set(found) == set(VERDICTS)


@pytest.mark.parametrize("name", ["random", "broken", "sparse", "many"])
def test_masked_kernels_do_not_count(name):
    raw = LAYERS[name]
    mask = np.random.default_rng(3).random(raw.shape[:2]) < 0.7
    mask[0] = False
    found = quality(np.where(mask[..., None, None], raw, np.nan), where=mask)
    rows, counted = raw.reshape(-1, 9), raw[mask].reshape(-1, 9)
    expected = quality(counted)
    for column in ("sparsity", "variance_entropy", "l1", "l2", "n_nonfinite", "verdict"):
        np.testing.assert_allclose(getattr(found, column), getattr(expected, column), rtol=2e-5)
    if not expected.n_nonfinite:
        zeroed = np.where(mask[..., None, None], raw, 0)[1:]
        np.testing.assert_allclose(found.orthogonality, quality(zeroed).orthogonality, rtol=1e-5)
    np.testing.assert_allclose(
        quality(rows, where=mask.reshape(-1)).variance_entropy, expected.variance_entropy, rtol=2e-5
    )


def test_kernels_take_one_mask_a_layer():
    layers = kernels(["random", "zero", "wide"])
    masks = [np.ones(weight.shape[:2], bool) for weight in layers.weights]
    masks[0][:8] = False
    found = jax.jit(lambda masks: quality(layers, where=masks))(masks)
    half = quality(layers.weights[0][8:])
    np.testing.assert_allclose(found.variance_entropy[0], half.variance_entropy, rtol=2e-5)
    np.testing.assert_allclose(found.sparsity[1:], quality(layers).sparsity[1:])
    with pytest.raises(ValueError, match="expected 3 masks, one a layer, got 1"):
        quality(layers, where=masks[:1])
