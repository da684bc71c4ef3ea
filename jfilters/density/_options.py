"""Options of a fit."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """The sizes of the flow, and how it is trained.

    `layers` coupling layers with a network of `width` units each; Adam in batches of at most `batch`
    kernels, its rate falling from `learning_rate` to 0 by a cosine over `epochs`. `held_out` of the kernels
    are only scored. `stopping` of the others are not trained on either: after every epoch they give the
    likelihood, the best epoch or the start is kept, and a fit ends after `patience` epochs without a better
    one. A divergence scores kernels of other folds, and has no use for `held_out`.
    """

    layers: int = 8
    width: int = 64
    batch: int = 256
    epochs: int = 30
    patience: int = 5
    learning_rate: float = 3e-3
    held_out: float = 0.2
    stopping: float = 0.2

    def __post_init__(self):
        for name in ("layers", "width", "batch", "epochs", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {getattr(self, name)}")
        for name in ("held_out", "stopping"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"expected {name} between 0 and 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"expected a learning_rate above 0, got {self.learning_rate}")


DEFAULTS = FitOptions()
