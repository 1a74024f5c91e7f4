"""The app: `nextframe app`."""

from nextframe.web.limits import WebLimits
from nextframe.web.serve import serve

__all__ = ["WebLimits", "serve"]
