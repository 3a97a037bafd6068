"""A Dockerfile to a Plan, as BuildKit's stable frontend reads it: text, instructions, expanded stages.

:func:`plan` gives the Plan. Nothing is built, and no file but the Dockerfile is looked at.
"""

from wherry.frontends.dockerfile.errors import DockerfileError
from wherry.frontends.dockerfile.options import DockerfileOptions, Resolver
from wherry.frontends.dockerfile.planner import plan

__all__ = ["DockerfileError", "DockerfileOptions", "Resolver", "plan"]
