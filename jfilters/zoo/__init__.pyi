from ._entries import Entry as Entry
from ._entries import File as File
from ._entries import Zoo as Zoo
from ._entries import entries as entries
from ._fetch import fetch as fetch
from ._metadata import METADATA as METADATA
