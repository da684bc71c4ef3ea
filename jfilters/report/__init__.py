"""What people look at: a scan and an inspection as text for a terminal."""

from ._formats import describe_formats as describe_formats
from ._formats import formats_text as formats_text
from ._inspection import inspection_text as inspection_text
from ._summary import summary_text as summary_text
