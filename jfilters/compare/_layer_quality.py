"""Quality of one weight on the host; moves away with its last importer."""

from ..statistics import LayerQuality as LayerQuality
from ..statistics import layer_quality as layer_quality
