"""Results of comparisons of densities, as NumPy arrays; imports no compiler."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

FOLDS = 3
"""Parts of each set in a divergence, from each of which a density is learned."""

FEWEST_FOLDS = 3
"""A fold is scored under two densities at least, whose difference shows the noise of the fits."""

DISTINGUISHABLE = 2.0
"""Standard errors that J has to lie above 0 for two sets to be distinguishable."""


class Divergences(NamedTuple):
    """KL divergences between m sets of kernels, in nats, with standard errors; rows from, columns to.

    `kl[i, j]` is KL(i || j): the nats by which a kernel of i is likelier under its own density than
    under that of j. `jeffreys` is the sum of both directions, as D is. 0 on the diagonal; an
    estimate may fall below 0. On average they are lower bounds: by what a flow cannot learn they are too
    low. The errors are those of drawing the kernels. `likelihood` is the log-density of each set under
    densities of its own that did not see the kernels.
    """

    kl: Float[np.ndarray, "m m"]
    kl_error: Float[np.ndarray, "m m"]
    jeffreys: Float[np.ndarray, "m m"]
    jeffreys_error: Float[np.ndarray, "m m"]
    likelihood: Float[np.ndarray, " m"]
    likelihood_error: Float[np.ndarray, " m"]

    @property
    def distinguishable(self) -> Bool[np.ndarray, "m m"]:
        """Pairs of sets whose J exceeds `DISTINGUISHABLE` standard errors."""
        return self.jeffreys > DISTINGUISHABLE * self.jeffreys_error


class TwoSampleTests(NamedTuple):
    """Results of classifiers of P pairs of sets.

    `accuracy`: of held-out kernels, 0.5 under the null. `p`: the p-value, by the normal
    approximation of the binomial. `jeffreys`: J in nats by the density ratio; it saturates where the
    sets hardly overlap, and is below 0 where the classifier is wrong more surely than right.
    """

    pairs: Int[np.ndarray, "P 2"]
    accuracy: Float[np.ndarray, " P"]
    p: Float[np.ndarray, " P"]
    jeffreys: Float[np.ndarray, " P"]
