"""What the image runs: the entry point, and how it was found.

The first of these that says something decides: the command line, the settings, a single console script,
``web:`` of a Procfile, Django's manage.py, an ASGI or WSGI application with its server among the
requirements, main.py or app.py or __main__.py, a package with a __main__.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wherry.errors import Place, UsageError
from wherry.frontends.python.config import Config
from wherry.frontends.python.document import Document
from wherry.frontends.python.folder import Folder
from wherry.frontends.python.lines import normal
from wherry.frontends.python.options import ProjectOptions, Words
from wherry.frontends.python.requirements import is_package

if TYPE_CHECKING:
    from wherry.frontends.python import web

BIN = "/opt/venv/bin"
PYTHON = f"{BIN}/python"
PORT = "8000"

_CHOOSE = "Choose with --entrypoint, or entrypoint in [tool.wherry]: for example --entrypoint "
_SCRIPT = r"\s*([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?\s*"
_POETRY_SCRIPTS = ("tool", "poetry", "scripts")
_SERVERS: tuple[str, ...] = ("uvicorn", "gunicorn")
_PYTHONS = re.compile(r"python(3(\.\d+)?)?")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """The entry point and default arguments, in exec form, with what they need around them.

    ``installed`` means that it comes with the project's own wheel and so needs no file of the folder.
    """

    words: tuple[str, ...]
    why: str
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    installed: bool = False


@dataclass(frozen=True, slots=True)
class Project:
    """What the search looks at. ``names`` are the requirements' normalised names; ``shell``: the base has one."""

    folder: Folder
    pyproject: Document
    settings: Config
    options: ProjectOptions
    names: frozenset[str]
    shell: bool
    workdir: str
    environment: Mapping[str, str] = field(default_factory=dict)


def find(project: Project) -> EntryPoint:
    """The entry point. Raises :class:`UsageError` if there is none, or if two could be meant."""
    ways: tuple[Callable[[Project], EntryPoint | None], ...] = (
        _chosen,
        _console_script,
        _procfile,
        _many_scripts,
        _django,
        _web_application,
        _main_file,
        _main_package,
    )
    for way in ways:
        if found := way(project):
            return found
    raise _nothing(project)


# -- what was said --------------------------------------------------------------------------------


def _chosen(project: Project) -> EntryPoint | None:
    options, settings = project.options, project.settings
    entrypoint, cmd, why = options.entrypoint, options.cmd, "--entrypoint"
    place: Place | None = Place(why)
    if entrypoint is None:
        entrypoint = settings.entrypoint
        why, place = (why, place) if cmd is not None else (settings.source, settings.entrypoint_place)
        cmd = cmd if cmd is not None else settings.cmd
    if entrypoint is None and cmd is None:
        return None
    words, env = _words(project, entrypoint, place)
    arguments, more = _words(project, cmd, place)
    if not words and not arguments:
        raise UsageError("the entry point is empty", place=place, hint="Write the command that the image shall run.")
    if len(words) == 1 and words[0].endswith(".py"):
        words = (PYTHON, *words)
    if (
        words
        and not is_package(project.pyproject, project.folder)
        and words[0] in project.pyproject.table(*_script_table(project))
    ):
        words = (*_imported(_scripts(project)[words[0]]), *words[1:])
    _check_file(project, words or arguments, place)
    return EntryPoint(words, why, arguments, tuple({**env, **more}.items()))


def _words(project: Project, words: Words | None, place: Place | None) -> tuple[tuple[str, ...], dict[str, str]]:
    if isinstance(words, str):
        from wherry.frontends.python import command

        if not words.strip():
            return (), {}
        return command.split(words, project.environment, shell=project.shell, place=place)
    return words or (), {}


def _check_file(project: Project, words: tuple[str, ...], place: Place | None) -> None:
    """A script that the command runs must be in the project."""
    if not words:
        return
    program, *arguments = words
    script = program
    if _PYTHONS.fullmatch(program.rpartition("/")[2]):
        arguments = [word for word in arguments if word not in {"-u", "-O", "-OO", "-B", "-I", "-E", "-s"}]
        script = arguments[0] if arguments else ""
    script = script.removeprefix(f"{project.workdir}/").removeprefix("./")
    if script.endswith(".py") and not script.startswith(("/", "-")) and not project.folder.has(script):
        near = sorted(name for name in project.folder.files if name.endswith(".py"))
        hint = f"Python files here: {', '.join(near)}." if near else None
        raise UsageError(f"the entry point {script} is not in the project", place=place, hint=hint)


# -- the project as a package ---------------------------------------------------------------------


def _script_table(project: Project) -> tuple[str, ...]:
    """Where the scripts are: in [project], or in poetry's own table."""
    own = ("project", "scripts")
    return own if project.pyproject.table(*own) else _POETRY_SCRIPTS


def _scripts(project: Project) -> dict[str, str]:
    path = _script_table(project)
    found: dict[str, str] = {}
    for name, written in project.pyproject.table(*path).items():
        target = written
        if path == _POETRY_SCRIPTS and isinstance(written, Mapping):
            if written.get("type") == "file":
                continue
            target = written.get("reference", written.get("callable"))
        if not isinstance(target, str) or not re.fullmatch(_SCRIPT, target):
            place = project.pyproject.place(*path, name)
            raise UsageError(f"{name!r} does not name a function", place=place, hint='Write "module:function".')
        found[name] = target
    return found


def _console_script(project: Project) -> EntryPoint | None:
    scripts = _scripts(project)
    if len(scripts) != 1:
        return None
    name, target = next(iter(scripts.items()))
    table = f"[{'.'.join(_script_table(project))}]"
    if is_package(project.pyproject, project.folder):
        return EntryPoint((f"{BIN}/{name}",), f"the only script in {table}", installed=True)
    return EntryPoint(_imported(target), f"the only script in {table}, {name}; the project itself is not installed")


def _imported(target: str) -> tuple[str, ...]:
    """A command that does what the script of ``target`` would, with the project's files alone."""
    module, function = (part.strip() for part in target.partition("[")[0].split(":"))
    head = function.partition(".")[0]
    return PYTHON, "-c", f"import sys; from {module} import {head}; sys.exit({function}())"


def _many_scripts(project: Project) -> EntryPoint | None:
    scripts = _scripts(project)
    if len(scripts) > 1:
        path = _script_table(project)
        place = project.pyproject.place(*path)
        names = sorted(scripts)
        message = f"[{'.'.join(path)}] has {len(names)} scripts: {', '.join(names)}"
        raise UsageError(message, place=place, hint=f"{_CHOOSE}{names[0]}.")
    return None


# -- web applications -----------------------------------------------------------------------------


def _procfile(project: Project) -> EntryPoint | None:
    if not project.folder.has("Procfile"):
        return None
    from wherry.frontends.python import command

    for number, line in enumerate(project.folder.text("Procfile").split("\n"), 1):
        found = re.fullmatch(r"web\s*:\s*(.*?)\s*", line)
        if not found:
            continue
        place = Place("Procfile", number)
        # The platforms that read a Procfile say in PORT where to listen; servers such as gunicorn look there.
        environment = {"PORT": PORT, **project.environment}
        words, env = command.split(found[1], environment, shell=project.shell, place=place)
        words = (_program(words[0], project.names), *words[1:])
        _check_file(project, words, place)
        env = {"PORT": environment["PORT"], **env}
        ports = command.ports(words)
        if not ports and env["PORT"].isdigit():
            ports = (f"{env['PORT']}/tcp",)
        return EntryPoint(words, "web: in Procfile", env=tuple(env.items()), ports=ports)
    return None


def _program(word: str, names: frozenset[str]) -> str:
    """A bare program as its path in the virtual environment, if it is there for certain."""
    if _PYTHONS.fullmatch(word):
        return PYTHON
    return f"{BIN}/{word}" if normal(word) in names and "/" not in word else word


def _django(project: Project) -> EntryPoint | None:
    if not project.folder.has("manage.py"):
        return None
    text = project.folder.text("manage.py")
    if "django" not in text.lower():
        return None
    settings = re.search(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)['\"]", text)
    module = settings[1] if settings else ""
    while module:
        module = module.rpartition(".")[0]
        path = module.replace(".", "/") + "/" if module else ""
        for kind, server in (("wsgi", _gunicorn), ("asgi", _uvicorn)):
            if server.__name__.strip("_") in project.names and project.folder.has(f"{path}{kind}.py"):
                target = f"{module}.{kind}:application".lstrip(".")
                words = server(target)
                return EntryPoint(words, f"Django's manage.py, with {words[0].rpartition('/')[2]}", ports=_listen())
    return EntryPoint(
        (PYTHON, "manage.py", "runserver", "--noreload", f"0.0.0.0:{PORT}"),
        "Django's manage.py; its development server, as neither gunicorn nor uvicorn is required",
        ports=_listen(),
    )


def _web_application(project: Project) -> EntryPoint | None:
    servers = [name for name in _SERVERS if name in project.names]
    if not servers:
        return None
    from wherry.frontends.python import web

    candidates: list[tuple[str, EntryPoint]] = []
    for path in ("main.py", "app.py", "app/main.py"):
        if path.startswith("app/") and (candidates or not project.folder.has_directory("app")):
            continue
        found = web.find(project.folder.text(path)) if project.folder.has(path) else None
        if not found:
            continue
        name, protocol = found
        target = f"{path.removesuffix('.py').replace('/', '.')}:{name}"
        if server := _server(protocol, servers, project, target):
            words = _uvicorn(target) if server == "uvicorn" else _gunicorn(target)
            why = f"{name} in {path} is an {protocol} application, and {server} is required"
            candidates.append((target, EntryPoint(words, why.replace("an WSGI", "a WSGI"), ports=_listen())))
    if len(candidates) > 1:
        targets = [target for target, _ in candidates]
        example = " ".join(candidates[0][1].words).replace(f"{BIN}/", "")
        raise UsageError(f"two applications could be meant: {' and '.join(targets)}", hint=f'{_CHOOSE}"{example}".')
    return candidates[0][1] if candidates else None


def _server(protocol: web.Protocol, servers: list[str], project: Project, target: str) -> str | None:
    if protocol != "ASGI or WSGI":
        server = "uvicorn" if protocol == "ASGI" else "gunicorn"
        return server if server in servers else None
    if len(servers) == 1:
        return servers[0]
    speaks = {"uvicorn": {"fastapi", "starlette", "litestar", "quart"}, "gunicorn": {"flask", "bottle", "falcon"}}
    likely = [server for server in servers if speaks[server] & project.names]
    if len(likely) == 1:
        return likely[0]
    message = f"{target} could be served by {' or '.join(servers)}"
    raise UsageError(message, hint=f'{_CHOOSE}"{" ".join(_uvicorn(target)).replace(f"{BIN}/", "")}".')


def _uvicorn(target: str) -> tuple[str, ...]:
    return (f"{BIN}/uvicorn", target, "--host", "0.0.0.0", "--port", PORT)


def _gunicorn(target: str) -> tuple[str, ...]:
    return (f"{BIN}/gunicorn", target, "--bind", f"0.0.0.0:{PORT}")


def _listen() -> tuple[str, ...]:
    return (f"{PORT}/tcp",)


# -- plain scripts --------------------------------------------------------------------------------


def _main_file(project: Project) -> EntryPoint | None:
    found = [name for name in ("main.py", "app.py", "__main__.py") if project.folder.has(name)]
    if len(found) > 1:
        listed = f"{', '.join(found[:-1])} and {found[-1]}"
        raise UsageError(f"the entry point could be any of {listed}", hint=f'{_CHOOSE}"python {found[0]}".')
    return EntryPoint((PYTHON, found[0]), f"{found[0]} is here") if found else None


def _main_package(project: Project) -> EntryPoint | None:
    folder = project.folder
    installed = is_package(project.pyproject, project.folder)
    found = {name: name for name in folder.directories if folder.has(f"{name}/__main__.py") and name.isidentifier()}
    if installed and "src" in folder.directories:
        sources = (item.parent for item in sorted((folder.root / "src").glob("*/__main__.py")))
        found |= {item.name: f"src/{item.name}" for item in sources if item.name.isidentifier()}
    found.pop("tests", None)
    if len(found) > 1:
        names = sorted(found)
        message = f"the entry point could be any of the packages {', '.join(names)}"
        raise UsageError(message, hint=f'{_CHOOSE}"python -m {names[0]}".')
    for name, path in found.items():
        return EntryPoint((PYTHON, "-m", name), f"{path}/__main__.py is the only one", installed=installed)
    return None


def _nothing(project: Project) -> UsageError:
    folder = project.folder
    if not folder.files and not folder.directories:
        hint = "A project has code such as main.py, and requirements.txt, pyproject.toml, pylock.toml or uv.lock."
        return UsageError(f"the folder {folder.root} is empty", hint=hint)
    scripts = sorted(name for name in folder.files if name.endswith(".py") and name != "setup.py")
    example = f"python {scripts[0]}" if scripts else "python -m package"
    return UsageError(
        "nothing here says what the image shall run\n"
        "Looked for entrypoint or cmd in [tool.wherry] or wherry.toml, [project.scripts] in pyproject.toml, web: in "
        "Procfile, manage.py, app in main.py or app.py with uvicorn or gunicorn required, main.py, app.py, __main__.py "
        "and a package with __main__.py.",
        hint=f'Say it with --entrypoint, for example --entrypoint "{example}".',
    )
