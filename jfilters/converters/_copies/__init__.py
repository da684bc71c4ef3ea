"""Second copies of a network: averages, teachers, targets, snapshots, clones. One of them is read."""

from ._find import Copies as Copies
from ._find import find_copies as find_copies
