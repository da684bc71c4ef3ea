"""The part of `io` that rooms above need with checkpoints: where they lie, and which version they are."""

from ..io import Location as Location
from ..io import base_name as base_name
from ..io import children as children
from ..io import exists as exists
from ..io import files_below as files_below
from ..io import identity as identity
from ..io import is_file as is_file
from ..io import is_folder as is_folder
from ..io import is_path as is_path
from ..io import is_remote as is_remote
from ..io import location as location
from ..io import name_below as name_below
from ..io import remote_bytes as remote_bytes
