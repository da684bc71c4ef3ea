"""Checkpoints of any format as one pytree, `Kernels`: found by content, read by range."""

from ._bytes import Location as Location
from ._bytes import base_name as base_name
from ._bytes import children as children
from ._bytes import identity as identity
from ._bytes import is_file as is_file
from ._bytes import is_folder as is_folder
from ._bytes import is_remote as is_remote
from ._bytes import location as location
from ._bytes import name_below as name_below
from ._bytes import remote_bytes as remote_bytes
from ._checkpoint import Checkpoint as Checkpoint
from ._checkpoint import StoredLayer as StoredLayer
from ._checkpoint import load as load
from ._checkpoint import open_checkpoint as open_checkpoint
from ._detect import FORMATS as FORMATS
from ._detect import detect as detect
from ._format import Format as Format
from ._hdf5 import FilterPopulation as FilterPopulation
from ._hdf5 import population as population
from ._hdf5 import write_filterdb as write_filterdb
from ._kernelfile import save_kernels as save_kernels
from ._orbax_layout import steps as steps
from ._params import from_params as from_params
from ._stored import Skipped as Skipped
from ._stored import StoredArray as StoredArray
from ._torch import from_module as from_module
