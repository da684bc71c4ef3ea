"""Checkpoints of any format as one pytree, `Kernels`: found by content, read by range."""

from ._checkpoint import Checkpoint as Checkpoint
from ._checkpoint import StoredLayer as StoredLayer
from ._checkpoint import load as load
from ._checkpoint import open_checkpoint as open_checkpoint
from ._detect import FORMATS as FORMATS
from ._detect import detect as detect
from ._filterdb_write import write_filterdb as write_filterdb
from ._format import Format as Format
from ._kernelfile import save_kernels as save_kernels
from ._params import from_params as from_params
from ._stored import Skipped as Skipped
from ._stored import StoredArray as StoredArray
