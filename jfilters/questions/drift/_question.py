"""The options of a comparison of groups, as one record that every step of it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from ...errors import unknown_choice
from ...shift import METRICS

Balance = Literal["kernels", "layers", "models", "units"]
"""What counts the same in a group: every kernel, every layer, every model, or every unit."""


class QuestionOptions(TypedDict, total=False):
    """The fields of `Question` as keyword arguments; those that are not given have its defaults."""

    within: str | None
    metric: str
    clean: bool
    balance: Balance
    unit: str
    matched: Sequence[str]
    permutations: int
    replicates: int
    seed: int


@dataclass(frozen=True)
class Question:
    """The options of a comparison of groups of layers.

    - `within`: another axis; groups are compared inside each of its values alone.
    - `metric`: a name of `METRICS`.
    - `clean`: without sparse kernels.
    - `balance`: what counts the same in a group: every kernel, layer, model or unit.
    - `unit`: what a test exchanges: "auto" for families and runs where there are any, else models; "model";
      or an axis with one label a model.
    - `matched`: axes of models; the permutations exchange only units with the same labels on all of
      them. In a crossed design, where each kind of model is in every group, this takes what these axes do
      out of the null.
    - `permutations`: random labelings of units a pair; all distinct ones where there are no more. 0: no p.
    - `replicates`: draws behind the sampling null where no formula is known, fewer for many pairs. 0: no
      sampling null.
    - `seed`: of all random numbers; the same question with the same seed gives the same numbers.

    Raises ValueError for a value that is none of its field.
    """

    within: str | None = None
    metric: str = "drift"
    clean: bool = False
    balance: Balance = "kernels"
    unit: str = "auto"
    matched: Sequence[str] = ()
    permutations: int = 1000
    replicates: int = 200
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "matched", tuple(self.matched))
        if self.metric not in METRICS:
            raise ValueError(unknown_choice("a metric", self.metric, METRICS))
        if self.balance not in get_args(Balance):
            raise ValueError(unknown_choice("a balance", self.balance, get_args(Balance)))
        for name in ("permutations", "replicates", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected 0 {name} or more, got {getattr(self, name)}")
