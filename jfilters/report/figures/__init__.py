"""Figures for papers: each a function of a scan that draws on the caller's axes, or on new ones."""

from ._axis_boxes import axis_boxes as axis_boxes
from ._basis import basis as basis
from ._canvas import COLUMN as COLUMN
from ._canvas import PAGE as PAGE
from ._canvas import STYLE as STYLE
from ._cumulative_variance import cumulative_variance as cumulative_variance
from ._depth_deciles import depth_deciles as depth_deciles
from ._drift_map import drift_map as drift_map
from ._phenotype_planes import phenotype_planes as phenotype_planes
from ._quality_boxes import quality_boxes as quality_boxes
from ._ridge import ridge as ridge
from ._save import FIGURES as FIGURES
from ._save import FORMATS as FORMATS
from ._save import save_figures as save_figures
from ._trajectories import trajectories as trajectories
