from ._compare import compare_layers as compare_layers
from ._compare import side_of as side_of
from ._deployment import Deployment as Deployment
from ._pairing import ReadableLayer as ReadableLayer
from ._totals import Sums as Sums
