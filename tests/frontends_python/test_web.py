"""Finding an ASGI or WSGI application in a module's source."""

from __future__ import annotations

import pytest

from wherry.frontends.python.web import find


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from fastapi import FastAPI\napp = FastAPI()", ("app", "ASGI")),
        ("import fastapi\napp: fastapi.FastAPI = fastapi.FastAPI(title='x')", ("app", "ASGI")),
        ("from starlette.applications import Starlette as S\napplication = S()", ("application", "ASGI")),
        ("from flask import Flask\napp = Flask(__name__)", ("app", "WSGI")),
        ("import flask as f\nserver = app = f.Flask(__name__)", ("app", "WSGI")),
        ("import falcon\napp = falcon.App()", ("app", "WSGI")),
        ("import falcon.asgi\napp = falcon.asgi.App()", ("app", "ASGI")),
        ("from falcon.asgi import App\napp = App()", ("app", "ASGI")),
        (
            "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()",
            ("application", "WSGI"),
        ),
        ("async def app(scope, receive, send):\n    pass", ("app", "ASGI")),
        ("def app(environ, start_response):\n    return []", ("app", "WSGI")),
        ("from .factory import create_app\napp = create_app()", ("app", "ASGI or WSGI")),
        ("app = {}", None),
        ("from other import app", None),
        ("def main():\n    app = FastAPI()", None),
        ("class app: pass", None),
        ("def app(): pass", None),
        ("x = 1", None),
        ("app = FastAPI(", None),
        ("app = 1\0", None),
    ],
)
def test_applications_are_recognised(source: str, expected: tuple[str, str] | None) -> None:
    assert find(source) == expected
