import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters.shift import drift, probability
from jfilters.statistics import Moments, fixed_edges
from jfilters.training import Watch, cosine_basis, measure_layers, watch

from .networks import NETWORKS, arrays, equinox, nnx_module


def moved(params, amount, seed=1):
    """The same parameters with noise on every kernel."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: x + np.float32(amount) * rng.normal(size=x.shape).astype("f"), params
    )


def rows(params, layer=None):
    kernels = jf.from_params(params)
    return kernels.rows() if layer is None else kernels.weights[layer].reshape(-1, 9)


def reference(a, b, basis=None):
    """D after METHOD.md, in float64 and NumPy alone."""
    basis, edges = basis or cosine_basis((3, 3)), fixed_edges(9)
    found = []
    for kernels in map(np.float64, (a, b)):
        normalized = kernels / np.abs(kernels).max(axis=1, keepdims=True)
        columns = ((normalized - basis.mean) @ basis.components.T).T
        found.append(np.stack([np.histogram(column, edges)[0] for column in columns]))
    return float(drift(*(probability(counts, edges) for counts in found), basis.variance_ratio))


def test_is_due_at_the_first_call_and_at_multiples():
    watcher, params = watch(every=3), arrays()
    due = [step for step in range(2, 10) if watcher(step, params) is not None]
    assert due == [2, 3, 6, 9]


def test_logs_what_it_returns_as_plain_numbers():
    logged = []
    watcher = watch(every=2, log=lambda step, values: logged.append((step, values)))
    returned = [watcher(step, arrays()) for step in range(3)]
    assert logged == [(0, returned[0]), (2, returned[2])]
    assert json.dumps(returned[2])
    assert {type(x) for x in returned[2].values()} == {float}


@pytest.mark.parametrize("name", NETWORKS)
def test_measures_networks_of_any_framework(name):
    values = watch()(0, NETWORKS[name]())
    found = measure_layers(arrays())
    for column in ("variance_entropy", "sparsity", "orthogonality"):
        got = [x for key, x in values.items() if key.endswith(f"/{column}")]
        np.testing.assert_allclose(got, getattr(found, column), atol=1e-6)


def test_names_tell_layer_and_number():
    values = watch(prefix="train/kernels")(0, arrays())
    of_a_layer = {
        "variance_entropy",
        "variance_entropy_ratio",
        "sparsity",
        "orthogonality",
        "drift",
    }
    own = {f"train/kernels/conv0/kernel/{name}" for name in of_a_layer}
    of_all = {"drift", "drift_since_last", "drift_null_mean", "n_nonfinite"}
    assert own | {f"train/kernels/{name}" for name in of_all} <= values.keys()
    assert len(values) == 4 * len(of_a_layer) + len(of_all)


def test_drift_is_that_from_the_start_and_from_the_last_measurement():
    first, second, third = arrays(), moved(arrays(), 0.3), moved(arrays(), 0.9, seed=2)
    watcher = watch(every=1)
    values = [watcher(step, params) for step, params in enumerate((first, second, third))]
    assert values[0]["jfilters/drift"] == values[0]["jfilters/drift_since_last"] == 0
    for key, params in (("drift", first), ("drift_since_last", second)):
        expected = reference(rows(params), rows(third))
        assert expected > 0.1
        assert values[2][f"jfilters/{key}"] == pytest.approx(expected, rel=1e-3)
    expected = reference(rows(first, layer=3), rows(third, layer=3))
    assert values[2]["jfilters/conv3/kernel/drift"] == pytest.approx(expected, rel=1e-3)


def test_chance_is_what_other_kernels_of_one_distribution_show():
    first, second = (
        {"conv": {"kernel": np.random.default_rng(seed).normal(size=(3, 3, 64, 64)).astype("f")}}
        for seed in range(2)
    )
    values = watch(start=first)(0, second)
    assert values["jfilters/drift"] == pytest.approx(values["jfilters/drift_null_mean"], rel=0.3)


def test_the_start_may_be_other_parameters_than_the_first():
    start, now = arrays(), moved(arrays(), 0.5)
    values = watch(start=start)(700, now)
    assert values["jfilters/drift"] == pytest.approx(reference(rows(start), rows(now)), rel=1e-3)


def test_begin_starts_over():
    watcher = watch(every=1)
    watcher(0, arrays())
    watcher.begin(moved(arrays(), 0.5))
    assert watcher(1, moved(arrays(), 0.5))["jfilters/drift"] == 0


def test_measure_measures_at_any_step():
    watcher = watch(every=100)
    watcher(0, arrays())
    assert watcher(7, arrays()) is None
    assert watcher.measure(7, moved(arrays(), 0.5))["jfilters/drift"] > 0


def test_a_basis_of_a_scan_serves_too():
    a, b = arrays(), moved(arrays(), 0.5)
    normalized = np.float64(rows(a)) / np.abs(rows(a)).max(axis=1, keepdims=True)
    centered = normalized - normalized.mean(axis=0)
    moments = Moments(np.asarray(264.0), normalized.mean(axis=0), centered.T @ centered)
    basis = jf.fit_basis(moments)
    values = watch(start=a, basis=basis)(0, b)
    assert values["jfilters/drift"] == pytest.approx(reference(rows(a), rows(b), basis), rel=1e-3)


def test_a_broken_kernel_is_told():
    params = arrays()
    params["conv1"]["kernel"] = params["conv1"]["kernel"].at[1, 1, 0, 0].set(jnp.inf)
    values = watch(start=arrays())(0, params)
    assert values["jfilters/n_nonfinite"] == 1
    assert np.isfinite(values["jfilters/drift"])


def test_a_module_changed_in_place_is_seen():
    module, watcher = nnx_module(), watch(every=1)
    watcher(0, module)
    module.conv1.kernel[...] += 1.0
    values = watcher(1, module)
    assert values["jfilters/conv1.kernel/drift"] > 0.1
    assert values["jfilters/conv2.kernel/drift"] == 0


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: COMPILED.append(event) if "backend_compile" in event else None
)


def test_compiles_once():
    watcher = watch(every=1)
    watcher(0, arrays())
    before = len(COMPILED)
    for step in range(1, 4):
        watcher(step, arrays())
    assert before > 0
    assert len(COMPILED) == before


def test_refuses_a_step_on_the_device():
    with pytest.raises(ValueError, match="count steps in the loop"):
        watch()(jnp.asarray(3), arrays())


def test_refuses_to_run_inside_jit():
    watcher = watch()

    @jax.jit
    def step(params):
        watcher(0, params)
        return params

    with pytest.raises(ValueError, match="measure_layers inside of it"):
        step(arrays())


@pytest.mark.parametrize("every", [0, -1])
def test_refuses_no_steps_between(every):
    with pytest.raises(ValueError, match="at least 1 step"):
        watch(every=every)


def test_refuses_other_layers_than_at_the_start():
    watcher = watch(every=1)
    watcher(0, arrays())
    params = arrays()
    del params["conv2"]
    with pytest.raises(ValueError, match=r"differ in \['conv2/kernel'\]"):
        watcher(1, params)


def test_refuses_layers_that_share_a_name():
    kernel = arrays()["conv1"]["kernel"]
    with pytest.raises(ValueError, match="distinct names"):
        watch()(0, {"a": {"kernel": kernel}, "a/kernel": kernel})


def test_refuses_a_network_without_such_kernels():
    with pytest.raises(ValueError, match="choose one of them with spatial"):
        watch(spatial=(5, 5))(0, equinox())
    with pytest.raises(ValueError, match="pass the parameters of the network"):
        watch()(0, eqx.nn.Linear(3, 3, key=jax.random.key(0)))


def test_refuses_a_basis_of_other_taps():
    with pytest.raises(ValueError, match="basis of 25 taps"):
        watch(basis=cosine_basis((5, 5)))


def test_what_is_kept_of_the_start_is_small():
    watcher = watch(every=1)
    watcher(0, nnx_module())
    leaves = [leaf for leaf in jax.tree.leaves(vars(watcher)) if hasattr(leaf, "nbytes")]
    assert isinstance(watcher, Watch)
    assert sum(leaf.nbytes for leaf in leaves) < 100_000
