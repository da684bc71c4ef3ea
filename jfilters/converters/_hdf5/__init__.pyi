from ._filterdb import FilterPopulation as FilterPopulation
from ._filterdb import population as population
from ._filterdb_write import write_filterdb as write_filterdb
