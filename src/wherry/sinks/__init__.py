"""Where an image goes besides the store: archives, layouts, root filesystems, a Docker or Podman.

:func:`parse_output` reads what ``-o`` says, :func:`check_outputs` finds out before the build what cannot work,
:func:`export` carries it out. Nothing shows under its name before it is complete.
"""

from wherry.sinks.export import export
from wherry.sinks.metadata import image_id, metadata, write_image_id, write_metadata
from wherry.sinks.output import Output, check_outputs, parse_output

__all__ = [
    "Output",
    "check_outputs",
    "export",
    "image_id",
    "metadata",
    "parse_output",
    "write_image_id",
    "write_metadata",
]
