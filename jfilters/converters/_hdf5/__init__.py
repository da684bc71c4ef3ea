"""Keras files and the CNN Filter DB, behind guards on what the HDF5 library is shown."""

from ._filterdb import FilterPopulation as FilterPopulation
from ._filterdb import population as population
from ._filterdb_write import write_filterdb as write_filterdb
