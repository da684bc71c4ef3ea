"""The uniform pytree that every checkpoint becomes: convolution weights as (out, in, *spatial).

`Kernels` goes through jit, vmap, grad and tree_map like any pytree: its weights are leaves, its layer
records are static. Everything downstream sees kernel sets, arrays of shape (n, d).
"""

import fnmatch
import math
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from . import _html
from ._traced import check_static
from .layers import Applied as Applied
from .layers import DepthSource as DepthSource
from .layers import Layer as Layer


class Kernels(eqx.Module):
    """The convolution weights of one checkpoint, in depth order, each of shape (out, in, *spatial).

    A pytree: it goes through jit, vmap, grad and tree_map, its weights as leaves and its layers static.
    Iteration gives pairs of layer and weight, in depth order.

    - `weights`: the effective weights, those that the network multiplies with at inference.
    - `layers`: the record of each; of the same length, or ValueError is raised.

    >>> import jax.numpy as jnp
    >>> weights = (jnp.ones((16, 8, 3, 3)), jnp.ones((4, 16, 5, 5)))
    >>> kernels = Kernels(weights, (Layer("stem"), Layer("head", depth=1, relative_depth=1.0)))
    >>> kernels
    Kernels(2 layers, spatial 3x3, 5x5)
    >>> [(layer.name, weight.shape[0]) for layer, weight in kernels]
    [('stem', 16), ('head', 4)]
    """

    weights: tuple[Float[Array, "..."], ...]
    layers: tuple[Layer, ...] = eqx.field(static=True)

    def __check_init__(self):
        if len(self.weights) != len(self.layers):
            raise ValueError(
                f"expected one weight a layer, got {len(self.weights)} and {len(self.layers)}"
            )

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[tuple[Layer, Array]]:
        return iter(zip(self.layers, self.weights, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The layer names, in depth order."""
        return tuple(layer.name for layer in self.layers)

    def select(
        self,
        name: str = "*",
        *,
        spatial: tuple[int, ...] | None = None,
        depth: tuple[float, float] = (0.0, 1.0),
        depthwise: bool | None = None,
    ) -> "Kernels":
        """Select the layers that match every condition, in the same order.

        Conditions look at the names, the shapes and the records alone, never at values, so that a selection
        works under `jit` and costs nothing there. Without a condition all layers match.

        **Arguments:**

        - `name`: a glob over layer names.
        - `spatial`: the kernel size, for example (3, 3).
        - `depth`: lowest and highest relative depth, both included.
        - `depthwise`: only depthwise layers, or only the others.

        **Returns:** the `Kernels` of those layers, perhaps of none.

        >>> import jax.numpy as jnp
        >>> weights = (jnp.ones((16, 8, 3, 3)), jnp.ones((4, 16, 5, 5)))
        >>> kernels = Kernels(weights, (Layer("stem"), Layer("head", depth=1, relative_depth=1.0)))
        >>> kernels.select(spatial=(3, 3)).names, kernels.select("h*", depth=(0.5, 1.0)).names
        (('stem',), ('head',))
        """

        check_static(spatial=spatial, depth=depth, depthwise=depthwise)

        def wanted(layer: Layer, weight: Array) -> bool:
            return (
                fnmatch.fnmatchcase(layer.name, name)
                and (spatial is None or weight.shape[2:] == spatial)
                and depth[0] <= layer.relative_depth <= depth[1]
                and (depthwise is None or layer.is_depthwise(weight.shape[1]) == depthwise)
            )

        return self._filter(wanted)

    def count(self, spatial: tuple[int, ...] = (3, 3)) -> int:
        """Count the kernels of one spatial shape, over all layers.

        A kernel is one spatial slice of a weight, so that a layer has out x in of them; of a depthwise
        layer these are as many as its channels. The count comes from shapes alone and is a Python number,
        under `jit` too.

        >>> import jax.numpy as jnp
        >>> weights = (jnp.ones((16, 8, 3, 3)), jnp.ones((4, 16, 5, 5)))
        >>> kernels = Kernels(weights, (Layer("stem"), Layer("head", depth=1, relative_depth=1.0)))
        >>> kernels.count(), kernels.count((5, 5)), kernels.count((7, 7))
        (128, 64, 0)
        """
        shapes = [weight.shape for weight in self.weights if weight.shape[2:] == spatial]
        return sum(out * inner for out, inner, *_ in shapes)

    def rows(self, spatial: tuple[int, ...] = (3, 3)) -> Float[Array, "n d"]:
        """Return all kernels of one spatial shape as one kernel set, in layer order.

        Each row is one kernel, its taps in row-major order; the rows of a layer run over its output
        channels and, within each, over its input channels. They lie on the device, as a copy of the
        weights.

        **Arguments:**

        - `spatial`: the kernel size; static under `jit`.

        **Returns:** an array (n, d), d the number of taps; n is 0 where no layer has this shape.

        >>> import jax.numpy as jnp
        >>> weights = (jnp.ones((16, 8, 3, 3)), jnp.ones((4, 16, 5, 5)))
        >>> kernels = Kernels(weights, (Layer("stem"), Layer("head", depth=1, relative_depth=1.0)))
        >>> kernels.rows().shape, kernels.rows((5, 5)).shape
        ((128, 9), (64, 25))
        """
        d = math.prod(spatial)
        sets = [weight.reshape(-1, d) for weight in self.weights if weight.shape[2:] == spatial]
        return jnp.concatenate(sets) if sets else jnp.zeros((0, d), jnp.float32)

    def map(self, function: Callable[[Float[Array, "n d"]], Array]) -> dict[str, Array]:
        """Apply a function to the kernel set of each layer.

        The set of a layer is its weight as (n, d): one row a kernel, d its number of taps. Layers of any
        spatial shape take part, so that a function for one shape alone needs a `select` before.

        **Arguments:**

        - `function`: takes one kernel set, on the device; called once a layer, not batched.

        **Returns:** the results by layer name, in depth order.

        >>> import jax.numpy as jnp
        >>> weights = (jnp.ones((16, 8, 3, 3)), jnp.ones((4, 16, 5, 5)))
        >>> kernels = Kernels(weights, (Layer("stem"), Layer("head", depth=1, relative_depth=1.0)))
        >>> {name: float(total) for name, total in kernels.map(jnp.sum).items()}
        {'stem': 1152.0, 'head': 1600.0}
        """
        return {
            layer.name: function(weight.reshape(-1, math.prod(weight.shape[2:])))
            for layer, weight in self
        }

    def _filter(self, matches: Callable[[Layer, Array], bool]) -> "Kernels":
        pairs = [(layer, weight) for layer, weight in self if matches(layer, weight)]
        return Kernels(
            weights=tuple(weight for _, weight in pairs), layers=tuple(layer for layer, _ in pairs)
        )

    def __repr__(self) -> str:
        sizes = sorted({"x".join(map(str, jax.numpy.shape(w)[2:])) for w in self.weights})
        return f"Kernels({len(self)} layers, spatial {', '.join(sizes) or 'none'})"

    def _repr_html_(self) -> str:
        rows = []
        for layer, weight in self:
            shape = jax.numpy.shape(weight)
            size = "x".join(map(str, shape))
            rows.append([layer.name, size, math.prod(shape[:2]), layer.depth, layer.groups])
        head = ("layer", "out x in x spatial", "kernels", "depth", "groups")
        return _html.table(head, rows, caption=repr(self))
