"""A density of normalized kernels: the probability of each face times a flow of the taps on it."""

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..errors import MissingExtraError
from ._chart import faces, from_chart, log_area, to_chart

UNIFORM = 1e-3
"""The share of every density that is spread evenly over the cube.

A kernel unlike any in training then costs at most -log(UNIFORM) + log(area) nats, 15.3 for 3x3, where a
flow alone would have it cost any number, and one kernel decide a divergence.
"""

_SMALLEST_SCALE = 1e-3
_UNIT_LOGISTIC = 3**0.5 / math.pi  # the scale of a logistic variable of deviation 1


class KernelDensity(eqx.Module):
    """A density on the surface of the cube [-1, 1]^d, with respect to its area.

    log p(f') = log p(face) + log q(rest | face), but for `UNIFORM` of the mass. The face's probability is a
    table, and q a coupling flow in the space of atanh, conditioned on the face, so that p integrates to 1
    over the surface whatever the weights are. Stacked densities, with a further first axis on every array,
    go through vmap.
    """

    log_face: Float[Array, " faces"]
    rest: Any  # a flowjax distribution of d - 1 taps, conditioned on the face
    d: int = eqx.field(static=True)

    def log_prob(self, kernel: Float[Array, " d"]) -> Float[Array, ""]:
        """Return the log-density of one kernel, in nats, whatever its scale; NaN for a zero kernel.

        With respect to the area of the cube's surface. Works under jit, vmap and grad.
        """
        face, taps = to_chart(kernel)
        flow = self.log_face[face] + self.rest.log_prob(taps, self._condition(face))
        mixed = jnp.logaddexp(jnp.log1p(-UNIFORM) + flow, jnp.log(UNIFORM) - log_area(self.d))
        return jnp.where(jnp.any(kernel != 0), mixed, jnp.nan)

    def sample(self, key: Key[Array, ""]) -> Float[Array, " d"]:
        """Draw one normalized kernel; works under jit and vmap."""
        of_mixture, of_face, of_rest, of_floor = jax.random.split(key, 4)
        face = jax.random.categorical(of_face, self.log_face)
        kernel = from_chart(face, self.rest.sample(of_rest, condition=self._condition(face)))
        floor = _uniform(of_floor, self.d)
        return jnp.where(jax.random.bernoulli(of_mixture, UNIFORM), floor, kernel)

    def _condition(self, face: Array) -> Float[Array, " faces"]:
        return jax.nn.one_hot(face, faces(self.d), dtype=self.log_face.dtype)


def new_density(
    key: Key[Array, ""],
    log_face: Float[Array, " faces"],
    loc: Float[Array, " rest"],
    scale: Float[Array, " rest"],
    *,
    layers: int,
    width: int,
) -> KernelDensity:
    """An unfitted density: near a logistic one of this mean and deviation in the space of atanh.

    **Arguments:**

    - `log_face`: logarithms of the probabilities of the 2d faces.
    - `loc`, `scale`: of atanh of the d - 1 other taps, over all faces.
    - `layers`, `width`: coupling layers of the flow, and units of the network in each.
    """
    template = _template(loc.size + 1, layers, width)
    flow = _flow(key, loc, jnp.maximum(scale, _SMALLEST_SCALE), layers, width)
    new = KernelDensity(log_face, flow, loc.size + 1)
    # Two flows made alike differ in closures that they hold, and jit would compile again for each.
    return jax.tree.unflatten(jax.tree.structure(template), jax.tree.leaves(new))


@functools.lru_cache(maxsize=32)
def _template(d: int, layers: int, width: int) -> KernelDensity:
    flow = _flow(jax.random.key(0), jnp.zeros(d - 1), jnp.ones(d - 1), layers, width)
    return KernelDensity(jnp.zeros(faces(d)), flow, d)


def like(d: int, layers: int, width: int) -> KernelDensity:
    """Return a density of these sizes, whose arrays a reader of a file replaces."""
    return _template(d, layers, width)


def _flow(
    key: Key[Array, ""],
    loc: Float[Array, " rest"],
    scale: Float[Array, " rest"],
    layers: int,
    width: int,
) -> Any:
    try:
        from flowjax.bijections import Affine, Chain, Tanh
        from flowjax.distributions import Logistic, Transformed
        from flowjax.flows import coupling_flow
    except ImportError as error:
        raise MissingExtraError("flowjax", "density") from error
    # tanh makes a logistic variable of scale 1/2 uniform, so that a tap's even spread is no effort.
    base = Logistic(jnp.zeros(loc.size), jnp.full(loc.size, _UNIT_LOGISTIC))
    coupling = coupling_flow(
        key, base_dist=base, cond_dim=faces(loc.size + 1), flow_layers=layers, nn_width=width
    )
    return Transformed(base, Chain([coupling.bijection, Affine(loc, scale), Tanh(loc.shape)]))


def one_of(densities: KernelDensity, index: int) -> KernelDensity:
    """Return one of several stacked densities."""
    arrays, static = eqx.partition(densities, eqx.is_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf[index], arrays), static)


@eqx.filter_jit
def samples(key: Key[Array, ""], density: KernelDensity, n: int) -> Float[Array, "n d"]:
    """Draw n normalized kernels from a density, each on the surface of the cube [-1, 1]^d.

    Compiled for each `n`, which is static. The same `key` gives the same kernels.
    """
    return jax.vmap(density.sample)(jax.random.split(key, n))


def _uniform(key: Key[Array, ""], d: int) -> Float[Array, " d"]:
    of_face, of_rest = jax.random.split(key)
    face = jax.random.randint(of_face, (), 0, faces(d))
    return from_chart(face, jax.random.uniform(of_rest, (d - 1,), minval=-1, maxval=1))
