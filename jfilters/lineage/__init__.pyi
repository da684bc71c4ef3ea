from ._families import Families as Families
from ._families import find_families as find_families
from ._kinship import kinship as kinship
from ._networks import Networks as Networks
from ._sketch import sketch as sketch
