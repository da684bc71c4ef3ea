"""Shift between groups of kernels in memory: no files, no scan, under `jit` and `vmap`.

Sixteen small networks in two groups: kernels of the one are smooth, those of the other are edges. D between
groups is large, D within a group is what sampling alone makes.
"""

import jax
import jax.numpy as jnp

import jfilters as jf

SMOOTH = jnp.exp(-(jnp.abs(jnp.arange(9) // 3 - 1) + jnp.abs(jnp.arange(9) % 3 - 1)).astype(float))
EDGES = (jnp.arange(9) % 3 - 1).astype(float)


def kernels(key: jax.Array, pattern: jax.Array) -> jax.Array:
    """2,000 kernels of 3x3 weights, as rows: multiples of a pattern, and noise."""
    scale_key, noise_key = jax.random.split(key)
    scale = jax.random.normal(scale_key, (2000, 1))
    return scale * pattern + 0.3 * jax.random.normal(noise_key, (2000, 9))


keys = jax.random.split(jax.random.key(0), (2, 8))
smooth = jax.vmap(kernels, (0, None))(keys[0], SMOOTH)
edges = jax.vmap(kernels, (0, None))(keys[1], EDGES)

# One basis and one set of bins for all: those of the kernels of both groups together.
reference = jf.Reference.of(jnp.concatenate([smooth, edges]).reshape(-1, 9))


@jax.jit
def drift(a: jax.Array, b: jax.Array) -> jax.Array:
    """Drift D between two sets of kernels, in nats."""
    return jf.drift(a, b, basis=reference.basis, edges=reference.edges)


every_pair = jax.vmap(jax.vmap(drift, (None, 0)), (0, None))
within = every_pair(smooth, smooth)[jnp.triu_indices(8, 1)]
between = every_pair(smooth, edges)
print(f"within a group: {within.mean():.3f}; between the groups: {between.mean():.3f}")
