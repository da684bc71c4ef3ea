"""Questions that a written scan answers, from its cards alone: no weights are read again.

Everything here runs on the host in NumPy float64, so that an answer takes no longer than its reading.
"""

from ._axes import all_axes as all_axes
from ._axes import axes_of as axes_of
from ._axes import axis_values as axis_values
from ._axes import with_metadata as with_metadata
from ._axis_table import AxisRow as AxisRow
from ._axis_table import AxisTable as AxisTable
from ._axis_table import axes_record as axes_record
from ._axis_table import axes_table as axes_table
from ._card import save_card as save_card
from ._check import Break as Break
from ._check import Outcome as Outcome
from ._check import check as check
from ._compare import compare as compare
from ._compare import compare_pair as compare_pair
from ._comparison import RELATIONSHIPS as RELATIONSHIPS
from ._comparison import Comparison as Comparison
from ._comparison import Detail as Detail
from ._comparison import MatchedLayer as MatchedLayer
from ._comparison import Relation as Relation
from ._comparison import Side as Side
from ._compatible import check_comparable as check_comparable
from ._compatible import check_same_sparse as check_same_sparse
from ._layer_quality import LayerQuality as LayerQuality
from ._layer_quality import layer_quality as layer_quality
from ._drift import drift_between as drift_between
from ._drift_table import ALPHA as ALPHA
from ._drift_table import ENOUGH as ENOUGH
from ._drift_table import FEWEST as FEWEST
from ._drift_table import DriftTable as DriftTable
from ._drift_table import Pair as Pair
from ._drift_table import Size as Size
from ._drift_table import drift_record as drift_record
from ._drift_table import save_matrix as save_matrix
from ._drift_table import save_pairs as save_pairs
from ._evidence import Balance as Balance
from ._groups import Group as Group
from ._groups import Groups as Groups
from ._groups import group_layers as group_layers
from ._merge import merge_scans as merge_scans
from ._open import open_scan as open_scan
from ._rules import Rule as Rule
from ._rules import read_rules as read_rules
from ._save import save_scan as save_scan
from ._saved import SavedScan as SavedScan
from ._where import Condition as Condition
from ._where import where as where
