"""What people look at: a scan and an inspection as text for a terminal, and a scan as a page."""

from . import figures as figures
from ._axes import axes_text as axes_text
from ._check import check_text as check_text
from ._comparison import comparison_text as comparison_text
from ._csv import csv_text as csv_text
from ._densities import densities_text as densities_text
from ._densities import divergence_text as divergence_text
from ._densities import scores_text as scores_text
from ._drift import drift_text as drift_text
from ._folding import folded_text as folded_text
from ._formats import describe_formats as describe_formats
from ._formats import formats_text as formats_text
from ._inspection import inspection_text as inspection_text
from ._junit import junit_xml as junit_xml
from ._nearest import nearest_text as nearest_text
from ._phenotypes import phenotypes_text as phenotypes_text
from ._quality import quality_text as quality_text
from ._summary import summary_text as summary_text
from ._trajectory import trajectory_text as trajectory_text
from .figures import save_figures as save_figures
from .page import check_can_draw as check_can_draw
from .page import page_html as page_html
from .page import write_page as write_page
