"""The scan: plans, streams blocks through the passes and keeps cards; it has no mathematics of its own."""

from ._compilation import keep_compiled as keep_compiled
from ._export import export_filterdb as export_filterdb
from ._folder import describe as describe
from ._folder import left_out as left_out
from ._folder import model_drift as model_drift
from ._folder import scan_into as scan_into
from ._folder import totals as totals
from ._folder import write_scan as write_scan
from ._inspect import Inspection as Inspection
from ._inspect import inspect as inspect
from ._measure import Measured as Measured
from ._measure import measure as measure
from ._measure import measure_quality as measure_quality
from ._options import Options as Options
from ._plan import Entry as Entry
from ._processes import LostProcessError as LostProcessError
from ._processes import Processes as Processes
from ._processes import join as join
from ._run import Scan as Scan
from ._run import scan as scan
from ._tables import layers_table as layers_table
from ._tables import models_table as models_table
