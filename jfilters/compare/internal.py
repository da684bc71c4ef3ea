"""Names of this room that other rooms need and users do not."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__.removesuffix(".internal"), __file__)
