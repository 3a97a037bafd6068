"""A Python project's folder to a Plan, with no Dockerfile: what it needs, what it runs, on what base.

:func:`plan` gives the Plan for one platform, :func:`plans` one for each. Nothing is built or downloaded.
"""

from wherry.frontends.python.options import ProjectOptions
from wherry.frontends.python.planner import plan, plans

__all__ = ["ProjectOptions", "plan", "plans"]
