"""Files that jfilters wrote and that hold no network: a scan into the folder that it scans meets them.

They are known by what they hold, whatever they are called. Kernel files, which hold networks, are not
among them.
"""

from ..errors import UnknownFormatError
from ..io import Location, open_source

HEAD = 1 << 12
"""Bytes of a header that are looked at: the marks come first."""

_BASIS = (b'"basis.components":', b'"basis.mean":', b'"basis.variance_ratio":')
_KINDS = {
    (b'"jfilters.bundle":',): "a bundle of scans",
    (b'"jfilters.card":',): "a bundle of scans",
    (b'"jfilters.density":',): "a fitted density",
    (b'"histogram":', *_BASIS): "arrays of a scan",
    _BASIS: "a basis",
}
_SIGNS = (b'"histogram":', b'"basis.', b'"jfilters.')
"""What the first bytes of such a file hold, so that of others no more is read."""


class OwnFileError(UnknownFormatError):
    """A file of jfilters that holds no network."""


def own_error(path: Location, head: bytes) -> OwnFileError | None:
    """The error for a file that jfilters wrote, by its header; None for any other."""
    if head[8:9] != b"{" or not any(sign in head for sign in _SIGNS):
        return None
    header = bytes(open_source(path).read(8, HEAD))
    for marks, kind in _KINDS.items():
        if all(mark in header for mark in marks):
            return OwnFileError(f"{kind} that jfilters wrote, which holds no network", path=path)
    return None
