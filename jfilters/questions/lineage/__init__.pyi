from ._forest import Family as Family
from ._forest import Forest as Forest
from ._forest import LayerChange as LayerChange
from ._forest import LayerChanges as LayerChanges
from ._forest import LineageEdge as LineageEdge
from ._lineage import find_lineage as find_lineage
from ._paths import lineage_of as lineage_of
