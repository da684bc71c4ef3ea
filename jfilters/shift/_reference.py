"""What kernels are compared with: a basis, the edges of bins, and the histogram of a kernel set in them."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from .._traced import is_traced
from ..statistics import Basis, fit_basis, fixed_edges
from ..statistics.internal import EXPECTED_KERNELS, RealArray, described, host_moments, is_layered
from ._forms import BINS, Frame, is_reference
from ._gaussian_frechet import normalized_moments
from ._kernel_histograms import hard_counts
from ._kernel_rows import KernelRows, kernel_rows


class Reference(eqx.Module):
    """A kernel set to compare others with: `jf.drift(reference, kernels)` needs nothing else.

    A pytree: it goes through jit, vmap and tree_map, and can be saved as any pytree. No kernels are in it.

    - `basis`: the basis of the coefficients, with the weight of each component in a drift.
    - `edges`: of the bins, in units of a coefficient.
    - `histogram`: kernels in each bin of each component, as floating-point numbers, so that the billions of
      a scan fit as well.
    - `spatial`: the size of the kernels, where it is known; static.
    - `dtype`: "float16" for a scan that rounded kernels to it before it normalized them; static.

    >>> import jax
    >>> import jfilters as jf
    >>> kernels = jax.random.normal(jax.random.key(0), (500, 9))
    >>> reference = jf.Reference.of(kernels)
    >>> reference.histogram.shape, float(jf.drift(reference, 2 * kernels))
    ((9, 70), 0.0)
    """

    basis: Basis
    edges: Float[RealArray, " edges"]
    histogram: Num[RealArray, "*sets d bins"]
    spatial: tuple[int, ...] | None = eqx.field(static=True, default=None)
    dtype: str = eqx.field(static=True, default="float32")

    def __check_init__(self):
        d, bins = len(self.basis.variance_ratio), len(self.edges) - 1
        if self.histogram.shape[-2:] != (d, bins):
            raise ValueError(
                f"expected a histogram (d, bins) = ({d}, {bins}), as basis and edges have, got "
                f"{described(self.histogram)}"
            )

    @classmethod
    def of(
        cls,
        source: Any,
        *,
        basis: Basis | None = None,
        edges: Float[RealArray, " edges"] | None = None,
        where: Any = None,
        spatial: tuple[int, ...] | None = None,
    ) -> "Reference":
        """Return the reference that a scan, or a kernel set, makes.

        **Arguments:**

        - `source`: a `Scan`, whose basis, edges and weights of components are used; or kernels: (n, d)
          rows, an (out, in, *spatial) weight, or `Kernels`.
        - `basis`, `edges`: of kernels. The basis is fitted to them unless given, on the host, so that it
          has to be given under jit. The edges are `fixed_edges` of 70 bins unless given.
        - `where`: of a scan a condition, as `Scan.where` takes it, "task == 'detection'"; of kernels a
          mask of those that count, as in `drift`.
        - `spatial`: the kernel size; of `Kernels` with several sizes 3x3 unless given.

        **Raises:** ValueError for a scan without kernels that vary, of another size or with a basis
        besides; for kernels that are not finite, that do not vary, or of another number of taps than the
        basis; and for what is neither. TypeError for kernels that are not of floating point.

        >>> import jax
        >>> import jfilters as jf
        >>> weight = jax.random.normal(jax.random.key(0), (16, 8, 3, 3))
        >>> jf.Reference.of(weight).n_kernels
        128.0
        """
        if _is_scan(source):
            return cls(**_of_scan(source, basis, edges, where, spatial))
        if is_reference(source) or not (is_layered(source) or hasattr(source, "shape")):
            raise ValueError(f"expected a Scan, {EXPECTED_KERNELS}, got {described(source)}")
        taps = None if basis is None else len(basis.mean)
        size = _spatial(source, spatial, taps)
        rows = kernel_rows(source, where=where, taps=taps, spatial=size)
        _check_values(rows)
        basis = _fitted(rows) if basis is None else basis
        edges = fixed_edges(len(basis.mean), BINS) if edges is None else edges
        counts = hard_counts(rows, Frame(basis, edges, basis.variance_ratio))
        return cls(basis=basis, edges=edges, histogram=counts, spatial=size)

    @property
    def n_kernels(self) -> Any:
        """The number of kernels that were counted: a number, or a traced one under jit."""
        n = self.histogram[..., 0, :].sum(axis=-1)
        return n if is_traced(n) or n.ndim else float(n)


def _is_scan(source: Any) -> bool:
    """Return True for a `Scan`: this room is below that of scans, and knows it by its fields."""
    return hasattr(source, "component_weights") and hasattr(source, "layer_table")


def _of_scan(scan: Any, basis: Any, edges: Any, where: Any, spatial: Any) -> dict[str, Any]:
    if basis is not None or edges is not None:
        raise ValueError("a scan has its own basis and edges; leave out basis= and edges=")
    if spatial is not None and tuple(spatial) != scan.spatial:
        raise ValueError(f"expected a scan of kernels of size {spatial}, got one of {scan.spatial}")
    if where is not None and not isinstance(where, str):
        raise ValueError(f"expected a condition on a scan as where, got {described(where)}")
    chosen = scan if where is None else scan.where(where)
    return {
        "basis": chosen.basis._replace(variance_ratio=chosen.component_weights),
        "edges": np.asarray(chosen.edges),
        "histogram": chosen.histogram.sum(axis=0, dtype=np.float64),
        "spatial": tuple(chosen.spatial),
        "dtype": chosen.record["config"].get("dtype", "float32"),
    }


def _spatial(
    source: Any, spatial: tuple[int, ...] | None, taps: int | None
) -> tuple[int, ...] | None:
    """Return the kernel size to look at; 3x3 of `Kernels` that have it, unless another is given."""
    if spatial is not None:
        return tuple(spatial)
    if not is_layered(source):
        return tuple(source.shape[2:]) or None if source.ndim > 2 else None
    sizes = {tuple(weight.shape[2:]) for weight in source.weights}
    if (3, 3) in sizes and taps in (None, 9):
        return (3, 3)
    return sizes.pop() if len(sizes) == 1 else None


def _check_values(rows: KernelRows) -> None:
    if is_traced(rows.kernels) or is_traced(rows.is_counted):
        return  # not computed yet: the histogram becomes NaN instead
    if not rows.is_counted.any():
        raise ValueError("expected kernels, got a mask that chooses none")
    if not (jnp.isfinite(rows.kernels).all(axis=1) | ~rows.is_counted).all():
        raise ValueError(
            "expected finite weights, got NaN or infinity; leave such kernels out by where="
        )


def _fitted(rows: KernelRows) -> Basis:
    if any(is_traced(array) for array in rows):
        raise ValueError(
            "expected a basis under jit, where none can be fitted: that is done on the host; pass "
            "basis=, or make the reference outside of jit"
        )
    return fit_basis(host_moments(normalized_moments(rows)))
