"""A Python project's folder to a Plan, with no Dockerfile: what it needs, what it runs, on what base.

:mod:`~wherry.frontends.python.planner` has ``plan``, the Plan for one platform, and ``plans``, one for each. Nothing is
built or downloaded. It is imported where there is a project: a Dockerfile's build does without.
"""

from wherry.frontends.python.options import ProjectOptions

__all__ = ["ProjectOptions"]
