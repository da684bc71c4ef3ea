"""Bytes by range, from a file, an archive member or a URL: the one way in which readers look at data."""

from ._cursor import Cursor as Cursor
from ._identity import identity as identity
from ._local_copy import copied_arrays as copied_arrays
from ._location import Location as Location
from ._location import base_name as base_name
from ._location import children as children
from ._location import is_file as is_file
from ._location import is_folder as is_folder
from ._location import is_remote as is_remote
from ._location import location as location
from ._location import name_below as name_below
from ._location import remote_bytes as remote_bytes
from ._npy import LONGEST_HEADER as LONGEST_HEADER
from ._npy import MAGIC as MAGIC
from ._npy import Header as Header
from ._npy import Record as Record
from ._npy import dtype_reason as dtype_reason
from ._npy import holds_several as holds_several
from ._npy import parse_header as parse_header
from ._npy import read_record as read_record
from ._npy import records as records
from ._source import ByteSource as ByteSource
from ._source import SourceFile as SourceFile
from ._source import open_source as open_source
from ._source import window as window
from ._zip import Archive as Archive
