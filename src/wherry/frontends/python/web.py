"""Finds a web application object in a module's source: ``app`` of FastAPI, Flask and the like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ast

Protocol = Literal["ASGI", "WSGI", "ASGI or WSGI"]

NAMES = ("app", "application")

_MENTION = re.compile(r"\b(?:app|application)\b")
_BOTH: Protocol = "ASGI or WSGI"
_FRAMEWORKS: dict[str, Protocol] = {
    "FastAPI": "ASGI",
    "Starlette": "ASGI",
    "Litestar": "ASGI",
    "Quart": "ASGI",
    "Sanic": "ASGI",
    "BlackSheep": "ASGI",
    "AsyncApp": "ASGI",
    "get_asgi_application": "ASGI",
    "Flask": "WSGI",
    "APIFlask": "WSGI",
    "OpenAPI": "WSGI",
    "Bottle": "WSGI",
    "WSGIApplication": "WSGI",
    "make_wsgi_app": "WSGI",
    "get_wsgi_application": "WSGI",
}
_ASGI_MODULES = ("falcon.asgi", "connexion.AsyncApp", "socketio.ASGIApp")


def find(source: str) -> tuple[str, Protocol] | None:
    """The name of the application object at the top of a module, and what it speaks; None if there is none.

    A call that is not a known framework's (``create_app()``) may speak either. Code that this Python
    cannot parse has none.
    """
    if not _MENTION.search(source):
        return None
    import ast

    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    found: dict[str, Protocol] = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=targets, value=ast.Call() as call):
                for target in targets:
                    if isinstance(target, ast.Name) and target.id in NAMES:
                        found[target.id] = _protocol(call, module)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call) if name in NAMES:
                found[name] = _protocol(call, module)
            case ast.AsyncFunctionDef(name=name, args=arguments) if name in NAMES and len(arguments.args) == 3:
                found[name] = "ASGI"
            case ast.FunctionDef(name=name, args=arguments) if name in NAMES and len(arguments.args) == 2:
                found[name] = "WSGI"
    return next(((name, found[name]) for name in NAMES if name in found), None)


def _protocol(call: ast.Call, module: ast.Module) -> Protocol:
    import ast

    name = ast.unparse(call.func)
    head, _, rest = name.partition(".")
    for statement in module.body:  # follow the name to its import: `import falcon.asgi as f`, `from x import App as A`
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name.partition(".")[0]) == head:
                    origin = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
                    imported = alias.name if alias.asname or origin else head
                    name = f"{origin}{imported}" + (f".{rest}" if rest else "")
    if name.startswith(_ASGI_MODULES):
        return "ASGI"
    if name.startswith("falcon."):
        return "WSGI"
    return _FRAMEWORKS.get(name.rpartition(".")[2], _BOTH)
