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
from .layers import Applied as Applied
from .layers import DepthSource as DepthSource
from .layers import Layer as Layer


class Kernels(eqx.Module):
    """The convolution weights of one checkpoint, in depth order, each of shape (out, in, *spatial)."""

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
        """Layer names, in depth order."""
        return tuple(layer.name for layer in self.layers)

    def select(
        self,
        name: str = "*",
        *,
        spatial: tuple[int, ...] | None = None,
        depth: tuple[float, float] = (0.0, 1.0),
        depthwise: bool | None = None,
    ) -> "Kernels":
        """The layers that match every condition.

        **Arguments:**

        - `name`: a glob over layer names.
        - `spatial`: the kernel size, for example (3, 3).
        - `depth`: lowest and highest relative depth, both included.
        - `depthwise`: only depthwise layers, or only the others.
        """

        def wanted(layer: Layer, weight: Array) -> bool:
            return (
                fnmatch.fnmatchcase(layer.name, name)
                and (spatial is None or weight.shape[2:] == spatial)
                and depth[0] <= layer.relative_depth <= depth[1]
                and (depthwise is None or layer.is_depthwise(weight.shape[1]) == depthwise)
            )

        return self._filter(wanted)

    def count(self, spatial: tuple[int, ...] = (3, 3)) -> int:
        """The number of kernels of one spatial shape."""
        shapes = [weight.shape for weight in self.weights if weight.shape[2:] == spatial]
        return sum(out * inner for out, inner, *_ in shapes)

    def rows(self, spatial: tuple[int, ...] = (3, 3)) -> Float[Array, "n d"]:
        """All kernels of one spatial shape as one kernel set, in layer order."""
        d = math.prod(spatial)
        sets = [weight.reshape(-1, d) for weight in self.weights if weight.shape[2:] == spatial]
        return jnp.concatenate(sets) if sets else jnp.zeros((0, d), jnp.float32)

    def map(self, function: Callable[[Float[Array, "n d"]], Array]) -> dict[str, Array]:
        """`function` of each layer's kernel set, by layer name."""
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
