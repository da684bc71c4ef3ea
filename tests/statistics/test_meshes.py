"""Statistics of weights that lie on eight devices: the numbers of one device, and no weight is gathered."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, re, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from jfilters import statistics as s

assert len(jax.devices()) == 8
weight = np.random.default_rng(0).standard_normal((64, 48, 3, 3), np.float32)
weight[3] *= 1e-4
basis = s.fit_basis(s.moments(jnp.asarray(weight)))
STATISTICS = {
    "normalize": s.normalize,
    "sparse_mask": s.sparse_mask,
    "sparsity": s.sparsity,
    "variance_entropy": s.variance_entropy,
    "moments": s.moments,
    "norms": s.norms,
    "orthogonality": s.orthogonality,
    "histogram": lambda w: s.coefficient_histogram(w, basis, low=-3.0, high=3.0, bins=70),
    "project": lambda w: s.project(w, basis),
    "max_abs": s.max_abs,
}
if sys.argv[1] == "accelerator":
    jax.lax.platform_dependent = lambda *args, default, **others: default(*args)
    STATISTICS = {"histogram": STATISTICS["histogram"]}
MESHES = {
    "out": ((8,), P("x")),
    "in": ((8,), P(None, "x")),
    "both": ((4, 2), P("x", "y")),
    "one of two": ((2, 4), P(None, "x")),
}
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
SENT = r"= (.*?) (all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)(?:-start)?\\\\("

def apart(a, b):
    pairs = [(np.float64(x), np.float64(y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b))]
    return max(np.abs(x - y).max() / max(np.abs(y).max(), 1e-30) for x, y in pairs)

def sizes(text):
    shapes = re.findall(r"\\\\w+\\\\[([\\\\d,]*)\\\\]", text)
    return sum(int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes)

for name, function in STATISTICS.items():
    expected = jax.jit(function)(weight)
    for layout, (shape, spec) in MESHES.items():
        mesh = jax.make_mesh(shape, ("x", "y")[: len(shape)], axis_types=(KINDS[sys.argv[2]],) * len(shape))
        array = jax.device_put(weight, NamedSharding(mesh, spec))
        program = jax.jit(function).lower(array).compile()
        sent = [(kind, sizes(shapes)) for shapes, kind in re.findall(SENT, program.as_text())]
        print(json.dumps([name, layout, float(apart(program(array), expected)), sent]))
""".replace("\\\\", "\\")

SHARE = 64 * 48 * 9 // 8
"""Numbers of the weight that one device holds."""

EXCHANGED = {"orthogonality", "project"}
"""What needs each row with others, or rows in their order, sends its share once."""


def run(*arguments):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    output = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in output.stdout.splitlines()]


@pytest.mark.slow
def test_no_weight_is_gathered():
    rows = run("cpu", "auto")
    assert len(rows) == 40
    for name, layout, apart, sent in rows:
        assert apart <= (0 if name in ("normalize", "sparse_mask", "histogram") else 1e-5), name
        assert "all-gather" not in dict(sent), (name, layout)
        if name not in EXCHANGED:
            assert {kind for kind, _ in sent} <= {"all-reduce"}, (name, layout, sent)
            # Scalars, a gram of ten columns, or counters: nothing that grows with the layer.
            assert max((n for _, n in sent), default=0) <= 20_000, (name, layout, sent)
        moved = [n for kind, n in sent if kind in ("all-to-all", "collective-permute")]
        assert all(n <= SHARE for n in moved), (name, layout, sent)
    reduced = {(name, layout) for name, layout, _, sent in rows if "all-reduce" in dict(sent)}
    assert {(name, "in") for name in ("moments", "sparsity", "norms", "max_abs")} <= reduced


@pytest.mark.slow
def test_the_counting_of_accelerators_gathers_nothing_either():
    for name, layout, apart, sent in run("accelerator", "auto"):
        assert apart == 0
        assert "all-gather" not in dict(sent), (name, layout)


@pytest.mark.slow
def test_meshes_with_explicit_axes_give_the_same_numbers():
    rows = run("cpu", "explicit")
    assert len(rows) == 40
    assert all(apart <= 1e-5 for _, _, apart, _ in rows)
