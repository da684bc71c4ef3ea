"""What `watch` costs a training loop: a small residual network on random 32x32 images.

The same steps run with and without it in turn. The share is that of the seconds spent inside its calls,
since the difference of two runs is far below their noise.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from jfilters.training import Watch, watch

from ._timing import Row

WIDTHS, CLASSES, BATCH, EVERY = (16, 32, 64), 10, 64, 100


class Block(eqx.Module):
    """Two convolutions beside a shortcut; `stride` halves the image."""

    first: eqx.nn.Conv2d
    second: eqx.nn.Conv2d
    shortcut: eqx.nn.Conv2d

    def __init__(self, inner: int, out: int, stride: int, key: jax.Array):
        a, b, c = jax.random.split(key, 3)
        self.first = eqx.nn.Conv2d(inner, out, 3, stride, padding=1, key=a)
        self.second = eqx.nn.Conv2d(out, out, 3, padding=1, key=b)
        self.shortcut = eqx.nn.Conv2d(inner, out, 1, stride, key=c)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.second(jax.nn.relu(self.first(x))) + self.shortcut(x))


class Network(eqx.Module):
    """A ResNet-8 without normalization."""

    stem: eqx.nn.Conv2d
    blocks: list[Block]
    head: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        stem, head, *keys = jax.random.split(key, 2 + len(WIDTHS))
        self.stem = eqx.nn.Conv2d(3, WIDTHS[0], 3, padding=1, key=stem)
        sizes = zip((WIDTHS[0], *WIDTHS), WIDTHS, (1, 2, 2), keys, strict=False)
        self.blocks = [Block(*size) for size in sizes]
        self.head = eqx.nn.Linear(WIDTHS[-1], CLASSES, key=head)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jax.nn.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """The seconds of `EVERY` steps with and without, and those spent in the watch."""
    steps, runs = (4, 1) if quick else (EVERY, 3)
    training, watcher = Training(), watch(every=steps)
    training.run(2, watcher)  # compiles both; later runs measure at their last step
    pairs = [(training.run(steps, watcher), training.run(steps, None)) for _ in range(runs)]
    whole = statistics.median(total for (total, _), _ in pairs)
    without = statistics.median(total for _, (total, _) in pairs)
    watched = statistics.median(inside for (_, inside), _ in pairs)
    work = f"{steps} steps of a ResNet-8 on 32x32 images, batch {BATCH}"
    share = f"watch takes {1e3 * watched:.1f} ms of them, {watched / without:.2%}"
    ratio = statistics.median(b / a for (a, _), (b, _) in pairs)
    own = statistics.median(b / inside for (_, inside), (b, _) in pairs)
    return [
        Row(f"{work}, watched", whole, runs, "the same steps alone", without, ratio, note=share),
        Row(
            work=f"watch(every={steps}) in them: one measurement",
            ours=watched,
            runs=runs,
            peer="those steps",
            theirs=without,
            ratio=own,
            least_ratio=100,
        ),
    ]


class Training:
    """A network on its way, its optimizer, and one batch of random images."""

    def __init__(self):
        keys = jax.random.split(jax.random.key(0), 3)
        self._batch = (
            jax.random.normal(keys[0], (BATCH, 3, 32, 32)),
            jax.random.randint(keys[1], (BATCH,), 0, CLASSES),
        )
        self._network, self._optimizer = Network(keys[2]), optax.adam(1e-3)
        self._state = self._optimizer.init(eqx.filter(self._network, eqx.is_array))
        self._step = eqx.filter_jit(self._stepped)

    def run(self, steps: int, watcher: Watch | None) -> tuple[float, float]:
        """Seconds of so many steps, and of the calls of the watch among them."""
        inside, start = 0.0, time.perf_counter()
        for step in range(1, steps + 1):
            trained = self._step(self._network, self._state, *self._batch)
            self._network, self._state = jax.block_until_ready(trained)
            if watcher is not None:
                before = time.perf_counter()
                watcher(step, self._network)
                inside += time.perf_counter() - before
        return time.perf_counter() - start, inside

    def _stepped(self, network: Network, state: Any, images: jax.Array, labels: jax.Array) -> Any:
        def loss(network: Network) -> jax.Array:
            logits = jax.vmap(network)(images)
            wrong = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return jnp.mean(wrong)

        gradient = eqx.filter_grad(loss)(network)
        updates, state = self._optimizer.update(gradient, state)
        return eqx.apply_updates(network, updates), state
