"""Calls one hook of a build backend (PEP 517); run by the Python of the compile stage, alone, with no Wherry there.

The request, JSON in the one argument, is ``{"backend", "path", "hook", "arguments", "answer"}``: ``path`` are folders
that the backend is looked for in first, ``arguments`` the hook's, in order. The file ``answer`` gets
``{"result": …}``, or ``{"missing": true}`` where the backend has no such hook. What a hook raises is printed.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main(request: dict) -> None:  # type: ignore[type-arg]  # whatever a backend takes and gives
    """Call the hook, and write down its answer."""
    sys.path[:0] = [str(Path(folder).resolve()) for folder in request["path"]]
    name, _, attributes = request["backend"].partition(":")
    backend = importlib.import_module(name)
    for attribute in attributes.split("."):
        if attribute:
            backend = getattr(backend, attribute)
    hook = getattr(backend, request["hook"], None)
    answer = {"missing": True} if hook is None else {"result": hook(*request["arguments"])}
    Path(request["answer"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
