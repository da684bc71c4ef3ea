"""Watch convolution kernels while a network trains, and keep a record of every measurement.

The network learns whether a picture shows horizontal or vertical stripes. `watch` takes any pytree of
parameters, and modules of Flax, Equinox, Keras and torch.
"""

import jax
import jax.numpy as jnp
import optax

from jfilters.training import watch

STEPS = 200


def batch(key: jax.Array, size: int = 64) -> tuple[jax.Array, jax.Array]:
    """Noisy stripes of random phase, and 1 where they are vertical."""
    phase_key, label_key, noise_key = jax.random.split(key, 3)
    labels = jax.random.bernoulli(label_key, shape=(size,))
    phase = jax.random.uniform(phase_key, (size, 1), maxval=2 * jnp.pi)
    wave = jnp.sin(jnp.arange(16) * jnp.pi / 2 + phase)
    stripes = jnp.where(labels[:, None, None], wave[:, None, :], wave[:, :, None])
    pictures = stripes[..., None] + 0.5 * jax.random.normal(noise_key, (size, 16, 16, 1))
    return pictures, labels.astype(jnp.float32)


def loss(params: dict, pictures: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross entropy of two convolutions, a mean over the picture, and a dense layer."""
    x = pictures
    for name in ("conv1", "conv2"):
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = params[name]["kernel"]
        x = jax.nn.relu(
            jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", None, None, numbers)
        )
    logits = x.mean((1, 2)) @ params["head"]["kernel"]
    return optax.sigmoid_binary_cross_entropy(logits[:, 0], labels).mean()


keys = jax.random.split(jax.random.key(0), 3)
params = {
    "conv1": {"kernel": 0.3 * jax.random.normal(keys[0], (3, 3, 1, 16))},
    "conv2": {"kernel": 0.1 * jax.random.normal(keys[1], (3, 3, 16, 32))},
    "head": {"kernel": 0.1 * jax.random.normal(keys[2], (32, 1))},
}
optimizer = optax.adam(1e-2)
state = optimizer.init(params)


@jax.jit
def update(params: dict, state: optax.OptState, key: jax.Array) -> tuple:
    """One step of training."""
    value, gradient = jax.value_and_grad(loss)(params, *batch(key))
    change, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, change), state, value


def show(step: int, values: dict[str, float]) -> None:
    """Print what a logger such as TensorBoard would get."""
    drift, entropy = values["jfilters/drift"], values["jfilters/conv2/kernel/variance_entropy"]
    print(
        f"step {step:3d}: drift from the start {drift:.3f}, variance entropy of conv2 {entropy:.3f}"
    )


watcher = watch(every=50, log=show)
for step in range(STEPS + 1):
    watcher(step, params)
    params, state, value = update(params, state, jax.random.key(step))
print(f"loss {float(value):.3f}")
