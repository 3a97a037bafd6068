"""Where distributions come from: the settings of pip and uv on this machine, and those of the command line.

uv reads its own settings (``UV_*``, uv.toml, ``[tool.uv]``) but not pip's, so pip's are translated for it here.
The rules, strongest first:

1. the command line's (:class:`~wherry.plan.Indexes`), and options in a requirements file;
2. uv's own, if any of them names an index;
3. pip's, read as pip reads them: ``PIP_*``, PIP_CONFIG_FILE, the environment's, the user's and the machine's
   configuration files, ``[install]`` before ``[global]``.

Several indexes mean what they mean to pip: the best version of all of them wins. Where uv's own settings name
indexes, uv's rule holds (the first index that knows a name has it), and ``UV_INDEX_STRATEGY`` always wins.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from wherry.errors import UsageError
from wherry.plan import Indexes

if TYPE_CHECKING:
    from wherry.fetch import Fetcher

_UV_INDEX_VARIABLES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_UV_INDEX_KEYS = ("index", "index-url", "extra-index-url", "find-links", "no-index")
_UV_PROJECT_KEYS = {
    *("build-backend", "conflicts", "default-groups", "dependency-groups", "dev-dependencies", "environments"),
    *("managed", "package", "pip", "required-environments", "sources", "workspace"),
}
_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PIP_MACHINE = Path("/etc/pip.conf")
_UV_NAMES = ("uv.toml", "pyproject.toml")
_TRUE = {"1", "y", "yes", "t", "true", "on"}
_PIP_KEYS = ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "keyring-provider")

# What would change uv's output, its place, or the interpreter that it runs on.
_REMOVED = {
    "UV_CACHE_DIR",
    "UV_COMPILE_BYTECODE",
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_FROZEN",
    "UV_LOCKED",
    "UV_NO_CACHE",
    "UV_OFFLINE",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_PREFERENCE",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
}
_SECRET = ("PASSWORD", "USERNAME", "TOKEN")
_USERINFO = re.compile(r"(?<=://)[^/?#\s\"']+@")


@dataclass(frozen=True, slots=True)
class Settings:
    """Index settings, ready for uv: ``environment`` is its whole environment, ``options`` go on its command line.

    ``certificates`` is a file or folder of certificates to trust, or empty. ``fingerprint`` says what here may
    change a resolution; it holds no credentials.
    """

    environment: Mapping[str, str] = field(repr=False)
    options: tuple[str, ...] = ()
    certificates: str = ""
    fingerprint: tuple[str, ...] = ()
    servers: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)

    def introduce(self, fetcher: Fetcher) -> None:
        """Let ``fetcher`` know the credentials and certificates in these settings."""
        if self.certificates:
            fetcher.trust(self.certificates)
        ask = self.environment.get("UV_KEYRING_PROVIDER") == "subprocess"
        for url, user, password in self.servers:
            if ask and user and not password:
                fetcher.authorize_user(origin(url), user, partial(_from_keyring, url, user, self.environment))
            else:
                fetcher.authorize(origin(url), user, password)


def read_settings(
    indexes: Indexes,
    context: Path,
    *,
    own_index: bool = False,
    own_urls: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings that hold for a project in ``context``.

    ``own_index`` says that a requirements file has an ``--index-url`` of its own, which replaces pip's indexes;
    ``own_urls`` are the URLs in such files, of which only the credentials matter here.
    Raises :class:`UsageError` if a configuration file cannot be read.
    """
    environ = os.environ if environ is None else environ
    files = _uv_files(context, environ)
    tables = [table for _, table in files]
    uv_names_index = any(environ.get(name) for name in _UV_INDEX_VARIABLES) or any(
        key in table for table in tables for key in _UV_INDEX_KEYS
    )
    pip = _pip_settings(environ)
    env = {name: value for name, value in environ.items() if name not in _REMOVED}
    options: list[str] = []

    own = tuple(own_urls)
    default = indexes.index_url
    extra = list(indexes.extra_index_urls)
    links = list(indexes.find_links)
    no_index = indexes.no_index
    if not uv_names_index:
        if not own_index:
            default = default or _first(pip.get("index-url"))
            extra += pip.get("extra-index-url", ())
            no_index = no_index or _truth(pip.get("no-index"))
        links += [place for place in pip.get("find-links", ()) if _there(place, context)]
    if default:
        env["UV_DEFAULT_INDEX"] = default
        env.pop("UV_INDEX_URL", None)
    if extra:
        named = [env.get("UV_INDEX", ""), env.get("UV_EXTRA_INDEX_URL", "")]
        env["UV_INDEX"] = " ".join(filter(None, [*extra, *named]))
        env.pop("UV_EXTRA_INDEX_URL", None)
    if links:
        places = [*(_absolute(place, context) for place in links), env.get("UV_FIND_LINKS", "")]
        env["UV_FIND_LINKS"] = ",".join(filter(None, places))
    if no_index:
        options.append("--no-index")
    decided = "UV_INDEX_STRATEGY" in environ or any("index-strategy" in table for table in tables)
    # Of a single index uv tells only under this strategy that it refuses.
    alone = not extra and not links and (len(own) == 1 if own_index else bool(default) and not own)
    if not uv_names_index and not decided:
        env["UV_INDEX_STRATEGY"] = "first-index" if alone else "unsafe-best-match"
    if hosts := pip.get("trusted-host"):
        env["UV_INSECURE_HOST"] = " ".join([*hosts, *env.get("UV_INSECURE_HOST", "").split()])
    if _first(pip.get("keyring-provider")) == "subprocess":
        env.setdefault("UV_KEYRING_PROVIDER", "subprocess")
    certificates = _certificates(pip, environ)
    if certificates:
        env["SSL_CERT_DIR" if Path(certificates).is_dir() else "SSL_CERT_FILE"] = certificates
    return Settings(
        environment=env,
        options=tuple(options),
        certificates=certificates,
        fingerprint=_fingerprint(env, options, files, context),
        servers=tuple(_servers(env, tables, own)),
    )


def configuration(context: Path, environ: Mapping[str, str] | None = None) -> dict[str, object]:
    """uv's own configuration for a project in ``context``, as one table for uv.toml; the nearest file wins."""
    merged: dict[str, object] = {}
    for _, table in reversed(_uv_files(context, os.environ if environ is None else environ)):
        merged |= {name: value for name, value in table.items() if name not in _UV_PROJECT_KEYS}
    return merged


def redact(text: str) -> str:
    """``text`` with the credentials in its URLs left out."""
    return _USERINFO.sub("", text)


def has_credentials(text: str) -> bool:
    """Whether a URL in ``text`` carries credentials."""
    return _USERINFO.search(text) is not None


# -- pip ---------------------------------------------------------------------------------------------


def _pip_settings(environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """pip's settings that matter here, each as words; stronger sources replace weaker ones, as in pip."""
    found: dict[str, tuple[str, ...]] = {}
    for path in _pip_files(environ):
        sections = _read_pip_file(path)
        for section in ("global", "install"):
            for key, text in sections.get(section, {}).items():
                if key in _PIP_KEYS:
                    found[key] = tuple(text.split())
    for key in _PIP_KEYS:
        if value := environ.get("PIP_" + key.upper().replace("-", "_")):
            found[key] = tuple(value.split())
    return found


def _pip_files(environ: Mapping[str, str]) -> Iterable[Path]:
    """pip's configuration files, the weakest first. PIP_CONFIG_FILE=os.devnull turns all off, as in pip."""
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or "/")
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA", "C:/ProgramData"), "pip", "pip.ini")
        user = [home / "pip" / "pip.ini", Path(environ.get("APPDATA", home), "pip", "pip.ini")]
    elif sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
        application = home / "Library" / "Application Support" / "pip"
        config = application if application.is_dir() else home / ".config" / "pip"
        user = [home / ".pip" / "pip.conf", config / "pip.conf"]
    else:
        for folder in reversed((environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")):
            yield Path(folder, "pip", "pip.conf")
        yield _PIP_MACHINE
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        user = [home / ".pip" / "pip.conf", config / "pip" / "pip.conf"]
    if not (own and Path(own).exists()):
        yield from user
    yield Path(sys.prefix, "pip.ini" if sys.platform == "win32" else "pip.conf")
    if own:
        yield Path(own)


def _read_pip_file(path: Path) -> dict[str, dict[str, str]]:
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read pip's configuration file {path}: {error}") from None
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, str(path))
    except configparser.Error as error:
        raise UsageError(f"pip's configuration file {path} is not valid: {redact(str(error))}") from None
    return {
        section: {key.lower().replace("_", "-").lstrip("-"): value for key, value in parser.items(section)}
        for section in parser.sections()
    }


# -- uv ----------------------------------------------------------------------------------------------


def _uv_files(context: Path, environ: Mapping[str, str]) -> list[tuple[bytes, Mapping[str, object]]]:
    """uv's configuration files: content and table. Those that are not TOML are uv's to complain of."""
    if environ.get("UV_NO_CONFIG", "").lower() in _TRUE:
        return []
    if own := environ.get("UV_CONFIG_FILE"):
        return [found for found in [_read_uv_file(Path(own))] if found]
    nearest = (_read_uv_file(folder / name) for folder in (context, *context.parents) for name in _UV_NAMES)
    project = next((found for found in nearest if found), None)
    return [found for found in (project, *map(_read_uv_file, _uv_places(environ))) if found]


def _uv_places(environ: Mapping[str, str]) -> Iterable[Path]:
    """The user's and the machine's uv.toml."""
    if sys.platform == "win32":
        folders = [environ[name] for name in ("APPDATA", "PROGRAMDATA") if name in environ]
        return [Path(folder, "uv", "uv.toml") for folder in folders]
    user = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/", ".config")
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    return [*(Path(folder, "uv", "uv.toml") for folder in (user, *shared)), Path("/etc/uv/uv.toml")]


def _read_uv_file(path: Path) -> tuple[bytes, Mapping[str, object]] | None:
    """The file and uv's table in it, the ``pip`` part of it on top; None if it has none."""
    import tomllib

    try:
        data = path.read_bytes()
        table: object = tomllib.loads(data.decode())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    for key in ("tool", "uv") if path.name == "pyproject.toml" else ():
        table = table.get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not table:
        return None
    pip = table.get("pip")
    return data, {**table, **(pip if isinstance(pip, dict) else {})}


# -- both --------------------------------------------------------------------------------------------


def _certificates(pip: Mapping[str, tuple[str, ...]], environ: Mapping[str, str]) -> str:
    for name in _BUNDLES:
        if place := environ.get(name):
            return place
    return " ".join(pip.get("cert", ()))


def _fingerprint(
    env: Mapping[str, str],
    options: Iterable[str],
    files: Iterable[tuple[bytes, Mapping[str, object]]],
    context: Path,
) -> tuple[str, ...]:
    from hashlib import sha256

    lines = [
        f"{name}={redact(value)}"
        for name, value in sorted(env.items())
        if name.startswith("UV_") and not name.endswith(_SECRET)
    ]
    lines += options
    lines += [sha256(redact(data.decode(errors="replace")).encode()).hexdigest() for data, _ in files]
    for place in env.get("UV_FIND_LINKS", "").split(","):
        folder = _folder(place, context)
        if folder is not None and folder.is_dir():
            lines += sorted(f"{entry.name} {entry.stat().st_size}" for entry in os.scandir(folder) if entry.is_file())
    return tuple(lines)


def _servers(
    env: Mapping[str, str], tables: Iterable[Mapping[str, object]], own: Iterable[str]
) -> Iterable[tuple[str, str, str]]:
    """(URL, user, password) of each server that a setting, or one of the URLs ``own``, has credentials for."""
    urls = [("", url) for url in own]
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for word in env.get(name, "").split():
            label, given, url = word.partition("=")
            urls.append((label, url) if given and "://" not in label else ("", word))
    urls += [("", word) for word in env.get("UV_FIND_LINKS", "").split(",")]
    for table in tables:
        listed = table.get("index")
        for index in listed if isinstance(listed, list) else ():
            if isinstance(index, dict):
                urls.append((str(index.get("name", "")), str(index.get("url", ""))))
    for label, url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            continue
        variable = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", label.upper())
        user = env.get(f"{variable}_USERNAME", "") if label else ""
        password = env.get(f"{variable}_PASSWORD", "") if label else ""
        user, password = unquote(parts.username or user), unquote(parts.password or password)
        if user or password:
            yield urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), user, password


def _from_keyring(url: str, user: str, environ: Mapping[str, str]) -> str:
    """The password that the program ``keyring`` has for ``user`` at ``url``, or at its server, as uv asks it; or none.

    What it may want to say is said to the user: it may have to be unlocked.
    """
    import shutil
    import subprocess

    program = shutil.which("keyring", path=environ.get("PATH"))
    for service in (url, urlsplit(url).netloc) if program else ():
        words = [str(program), "get", service, user]
        try:
            found = subprocess.run(
                words, env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
            )
        except OSError:
            break
        if password := found.stdout.decode(errors="replace").rstrip("\r\n"):
            return password
    return ""


def origin(url: str) -> str:
    """Scheme, host and port of ``url``."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2].lower(), "", "", ""))


def _there(place: str, context: Path) -> bool:
    folder = _folder(place, context)
    return folder is None or folder.exists()


def _absolute(place: str, context: Path) -> str:
    folder = _folder(place, context)
    return str(folder) if folder is not None else place


def _folder(place: str, context: Path) -> Path | None:
    """The local path that ``place`` names, or None for a page on a server."""
    if place.startswith("file:"):
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(place).path))
    return None if "://" in place or not place else context / Path(place).expanduser()


def _first(words: tuple[str, ...] | None) -> str:
    return words[0] if words else ""


def _truth(words: tuple[str, ...] | None) -> bool:
    return _first(words).lower() in _TRUE
