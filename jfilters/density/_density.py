"""A density of normalized kernels: the probability of each face times a flow of the taps on it."""

import functools
import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
import jax.scipy.stats.logistic
from jaxtyping import Array, Float, Key

from ..errors import MissingExtraError
from ._chart import faces, from_chart, log_area, to_chart

UNIFORM = 1e-3
"""The share of every density that is spread evenly over the cube.

A kernel unlike any in training then costs at most -log(UNIFORM) + log(area) nats, 15.3 for 3x3, where a
flow alone would have it cost any number, and one kernel decide a divergence.
"""

TAILS = tuple(0.4 * 1.19**k for k in range(9))
"""Tails to choose from: 0.45 makes the base a Gaussian variable to 1e-6 nats, 1 a logistic one."""

_SMALLEST_SCALE = 1e-3
_UNIT_LOGISTIC = 3**0.5 / math.pi  # the scale of a logistic variable of deviation 1
_KNEE = 2.67 * _UNIT_LOGISTIC  # where a tail of 0.45 comes closest to a Gaussian one


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
    tail: Float[Array, ""] | float = 1.0,
    unmix: Float[Array, "rest rest"] | None = None,
    *,
    layers: int,
    width: int,
) -> KernelDensity:
    """An unfitted density: taps of this location, scale, tail and correlation in the space of atanh.

    **Arguments:**

    - `log_face`: logarithms of the probabilities of the 2d faces.
    - `loc`, `scale`: of atanh of the d - 1 other taps, over all faces.
    - `tail`: of all taps; 1 for a logistic variable, whose deviation is the scale.
    - `unmix`: a lower triangular matrix that makes standardized taps uncorrelated; they are if not given.
    - `layers`, `width`: coupling layers of the flow, and units of the network in each.
    """
    template = _template(loc.size + 1, layers, width)
    unmix = jnp.eye(loc.size, dtype=loc.dtype) if unmix is None else unmix
    scale = jnp.maximum(scale, _SMALLEST_SCALE)
    values = (
        log_face,
        *_first_weights(key, template),
        jnp.log(jnp.asarray(tail, loc.dtype)),
        unmix,
        loc,
        scale + jnp.log(-jnp.expm1(-scale)),  # flowjax keeps the inverse of softplus
    )
    return eqx.tree_at(_values, template, values)


def _values(density: Any) -> tuple[Any, ...]:
    """Return the arrays of a density that its start decides, in one order."""
    coupling, shape, affine, _ = density.rest.bijection.bijections
    first = _conditioner(coupling).layers[0]
    scale = affine.scale.args[0]
    return (
        density.log_face,
        first.weight,
        first.bias,
        shape.log_tail,
        shape.unmix,
        affine.loc,
        scale,
    )


def _conditioner(coupling: Any) -> Any:
    """Return the networks of coupling layers, stacked in one."""
    layer = coupling.bijection.bijection
    return getattr(layer, "bijections", (layer,))[0].conditioner


def _first_weights(key: Key[Array, ""], template: KernelDensity) -> tuple[Array, Array]:
    """Draw the first weights and biases of all coupling layers as `eqx.nn.Linear` does."""
    first = _conditioner(template.rest.bijection.bijections[0]).layers[0]
    of_weight, of_bias = jax.random.split(key)
    bound = 1 / math.sqrt(first.weight.shape[-1])
    return (
        jax.random.uniform(of_weight, first.weight.shape, minval=-bound, maxval=bound),
        jax.random.uniform(of_bias, first.bias.shape, minval=-bound, maxval=bound),
    )


# Made once and not in a program: flowjax keeps arrays in closures, which would leak from the trace, and
# checks them by callbacks of the host, with which no program is kept on the disk.
@functools.lru_cache(maxsize=32)
def _template(d: int, layers: int, width: int) -> KernelDensity:
    return KernelDensity(jnp.zeros(faces(d)), _flow(d - 1, layers, width), d)


def shapes_like(d: int, layers: int, width: int) -> Any:
    """Return the shapes of the arrays of such a density, without making them."""
    # What is traced must not stay in the cache of templates.
    return eqx.filter_eval_shape(lambda: _template.__wrapped__(d, layers, width))


def like(d: int, layers: int, width: int) -> KernelDensity:
    """Return a density of these sizes, whose arrays a reader of a file replaces."""
    return _template(d, layers, width)


def _flow(taps: int, layers: int, width: int) -> Any:
    try:
        from flowjax.bijections import Affine, Chain, Tanh
        from flowjax.distributions import Logistic, Transformed
        from flowjax.flows import coupling_flow
    except ImportError as error:
        raise MissingExtraError("flowjax", "density") from error
    # tanh makes a logistic variable of scale 1/2 uniform, so that a tap's even spread is no effort.
    base = Logistic(jnp.zeros(taps), jnp.full(taps, _UNIT_LOGISTIC))
    key = jax.random.key(0)
    coupling = coupling_flow(
        key, base_dist=base, cond_dim=faces(taps + 1), flow_layers=layers, nn_width=width
    )
    shape = _shape_class()(jnp.zeros(()), jnp.eye(taps), (taps,))
    affine = Affine(jnp.zeros(taps), jnp.ones(taps))
    parts = [_identity(coupling.bijection), shape, affine, Tanh((taps,))]
    return Transformed(base, Chain(parts))


def _identity(coupling: Any) -> Any:
    """Return the coupling layers with last weights of 0: a fit then starts without their noise."""

    def last_weights(coupling: Any) -> Any:
        last = _conditioner(coupling).layers[-1]
        return last.weight, last.bias

    return eqx.tree_at(last_weights, coupling, replace_fn=jnp.zeros_like)


@functools.cache
def _shape_class() -> Any:
    from flowjax.bijections import AbstractBijection

    class Shape(AbstractBijection):
        """The tails of uncorrelated taps, then their correlation."""

        log_tail: Array
        unmix: Array  # of which the lower triangle counts
        shape: tuple[int, ...]
        cond_shape: ClassVar[None] = None  # pyright: ignore[reportIncompatibleVariableOverride]

        def transform_and_log_det(self, x: Any, condition: Any = None) -> tuple:
            y, log_det = bend(x, jnp.exp(self.log_tail))
            mixed = jax.scipy.linalg.solve_triangular(self.unmix, y, lower=True)
            return mixed, log_det - self._log_det()

        def inverse_and_log_det(self, y: Any, condition: Any = None) -> tuple:
            x, log_det = bend(jnp.tril(self.unmix) @ y, jnp.exp(-self.log_tail))
            return x, log_det + self._log_det()

        def _log_det(self) -> Array:
            return jnp.log(jnp.abs(jnp.diagonal(self.unmix))).sum()

    return Shape


def log_base(x: Float[Array, ""], tail: Float[Array, ""]) -> Float[Array, ""]:
    """Return the log-density of a tap of location 0 and scale 1 in the space of atanh."""
    base, log_det = bend(x, 1 / tail)
    return jax.scipy.stats.logistic.logpdf(base, scale=_UNIT_LOGISTIC) + log_det


def bend(x: Float[Array, "*rest"], power: Float[Array, ""]) -> tuple[Array, Array]:
    """Return values with their tails raised to a power, and the log-determinant of that.

    Near 0 values keep their size up to the power; far out |x| goes as |x|^power.
    """
    arc = jnp.arcsinh(x / _KNEE)
    log_det = jnp.log(power) + jnp.log(jnp.cosh(power * arc)) - jnp.log(jnp.cosh(arc))
    return _KNEE * jnp.sinh(power * arc), log_det.sum()


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
