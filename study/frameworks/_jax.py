"""Code that the three JAX frameworks share: operations, with channels last or first, and training."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .._steps import UNFOLDING
from .._tasks import Examples, Loss
from ._model import Plan

LOSSES: dict[Loss, Callable[[Any, Any], jax.Array]] = {
    "cross-entropy": optax.softmax_cross_entropy_with_integer_labels,
    "squares": optax.squared_error,
    "binary-cross-entropy": optax.sigmoid_binary_cross_entropy,
}


class ChannelsLast:
    """Operations on images (n, height, width, channels) but the convolution, which is the framework's."""

    def relu(self, value: jax.Array) -> jax.Array:
        """The positive part."""
        return jax.nn.relu(value)

    def add(self, value: jax.Array, kept: jax.Array) -> jax.Array:
        """The sum of both."""
        return value + kept

    def join(self, value: jax.Array, kept: jax.Array) -> jax.Array:
        """Each pixel 2 x 2 times, and the kept channels after them."""
        return jnp.concatenate([value.repeat(2, 1).repeat(2, 2), kept], -1)

    def mean(self, value: jax.Array) -> jax.Array:
        """The mean over all pixels."""
        return value.mean((1, 2), keepdims=True)

    def unfold(self, value: jax.Array) -> jax.Array:
        """The channels of a place as pixels."""
        n, height, width, _ = value.shape
        side = UNFOLDING
        tiles = value.reshape(n, height, width, side, side).swapaxes(2, 3)
        return tiles.reshape(n, height * side, width * side, 1)


def convolve(
    images: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Any,
    feature_group_count: int = 1,
    **others: Any,
) -> jax.Array:
    """The convolution of images (n, height, width, in) with a kernel (height, width, in, out).

    On a CPU, XLA takes ten times as long for the gradients of a depthwise convolution as for this sum
    of shifted products, and three times as long for one of 1 x 1 as for a product of matrices.
    """
    if kernel.shape[:2] == (1, 1):
        return images @ kernel[0, 0]
    if feature_group_count > 1:
        return _depthwise(images, kernel, strides)
    others |= {"feature_group_count": feature_group_count}
    return jax.lax.conv_general_dilated(images, kernel, strides, padding, **others)


def _depthwise(images: jax.Array, kernel: jax.Array, strides: Sequence[int]) -> jax.Array:
    rows, columns, height, width = *kernel.shape[:2], *images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)))
    shifted = (
        padded[:, row : row + height, column : column + width] * kernel[None, row, None, column]
        for row in range(rows)
        for column in range(columns)
    )
    return functools.reduce(jnp.add, shifted)[:, :: strides[0], :: strides[1]]


@dataclasses.dataclass(frozen=True)
class Trainable:
    """Parameters, and `apply(network, params, images)` on images (n, height, width, 1).

    `network` is all that is no parameter; it can be hashed, so that one program serves all steps.
    """

    network: Any
    params: Any
    apply: Callable[[Any, Any, jax.Array], jax.Array]

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Numbers (n, classes) or images (n, side, side)."""
        return np.asarray(_flat(self.apply, self.network, self.params, jnp.asarray(images)))

    def train(self, batches: Iterator[Examples], plan: Plan) -> Iterator[tuple[int, Any]]:
        """The parameters at every step that is kept."""
        params, state = self.params, _optimizer(plan).init(self.params)
        if 0 in plan.kept:
            yield 0, params
        for step, batch in zip(range(1, plan.steps + 1), batches, strict=True):
            params, state = _updated(self.apply, self.network, plan, params, state, batch)
            if step in plan.kept:
                yield step, params


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _updated(
    apply: Callable, network: Any, plan: Plan, params: Any, state: Any, batch: Examples
) -> tuple[Any, Any]:
    """Parameters and the state of the optimizer after one batch."""

    def mean_loss(params: Any) -> jax.Array:
        outputs = _flat(apply, network, params, batch.inputs)
        return LOSSES[plan.loss](outputs, batch.targets).mean()

    updates, state = _optimizer(plan).update(jax.grad(mean_loss)(params), state, params)
    return optax.apply_updates(params, updates), state


@functools.partial(jax.jit, static_argnums=(0, 1))
def _flat(apply: Callable, network: Any, params: Any, images: jax.Array) -> jax.Array:
    """Return the output without axes of one entry: the channel of an image, the pixel of a class."""
    outputs = apply(network, params, images[..., None])
    return outputs[..., 0] if outputs.shape[-1] == 1 else outputs[:, 0, 0]


def _optimizer(plan: Plan) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(plan.learning_rate, plan.steps)
    return optax.adamw(rate, weight_decay=plan.weight_decay)
