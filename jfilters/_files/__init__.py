"""Output: every file that jfilters writes appears whole or not at all, here or at a URL.

All writers of the house go through `written_whole`. It makes the file beside its place, follows no link,
lets the umask say who may read it, and names the place and the system's reason where writing fails.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
