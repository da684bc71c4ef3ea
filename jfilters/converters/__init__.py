"""Checkpoints of any format as one pytree, `Kernels`: found by content, read by range."""

from ._checkpoint import Checkpoint as Checkpoint
from ._checkpoint import StoredLayer as StoredLayer
from ._checkpoint import load as load
from ._checkpoint import open_checkpoint as open_checkpoint
from ._detect import FORMATS as FORMATS
from ._detect import detect as detect
from ._filterdb import FilterPopulation as FilterPopulation
from ._filterdb import population as population
from ._filterdb_write import write_filterdb as write_filterdb
from ._format import Format as Format
from ._kernelfile import save_kernels as save_kernels
from ._location import Location as Location
from ._location import base_name as base_name
from ._location import children as children
from ._location import is_file as is_file
from ._location import is_folder as is_folder
from ._location import is_remote as is_remote
from ._location import location as location
from ._location import name_below as name_below
from ._location import remote_bytes as remote_bytes
from ._modules import from_module as from_module
from ._orbax_layout import steps as steps
from ._params import from_params as from_params
from ._stored import Skipped as Skipped
from ._stored import StoredArray as StoredArray
