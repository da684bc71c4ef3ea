from ._measurements import Measurements as Measurements
from ._opening import checkpoint_at as checkpoint_at
from ._opening import opened as opened
from ._plan import Entry as Entry
from ._plan import find_checkpoints as find_checkpoints
from ._plan import planned as planned
from ._plan import size_of as size_of
from ._run import measure_checkpoints as measure_checkpoints
