"""ncnn models: a description as text or binary, and a file of weights that only it makes sense of."""

from ._format import FORMAT as FORMAT
from ._format import PAIR as PAIR
