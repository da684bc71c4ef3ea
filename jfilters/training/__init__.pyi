from ._cosine_basis import cosine_basis as cosine_basis
from ._drift_penalty import drift_penalty as drift_penalty
from ._measurement import Measurement as Measurement
from ._measurement import measure_layers as measure_layers
from ._orthogonality_penalty import orthogonality_penalty as orthogonality_penalty
from ._variance_entropy_penalty import variance_entropy_penalty as variance_entropy_penalty
from ._watch import Watch as Watch
from ._watch import watch as watch
