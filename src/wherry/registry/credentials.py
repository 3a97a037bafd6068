"""Who we are at a registry: the logins that Docker and Podman keep, in their files and their credential helpers.

The formats are those of containers-auth.json(5) and of Docker's config.json.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wherry.errors import UsageError, WherryError
from wherry.image.json import Json, JsonObject, as_object, as_str, as_string_map, load_object
from wherry.registry.helper import Helper, HelperFailed
from wherry.registry.location import HUB, canonical
from wherry.urls import redacted

_HUB_SERVER = "https://index.docker.io/v1/"  # Docker's own name for it, in files and for helpers
_TOKEN_USER = "<token>"  # the user for whom Docker's helpers keep identity tokens
_FIELDS = ("auth", "username", "password", "identitytoken")


@dataclass(frozen=True, slots=True)
class Login:
    """A user and what proves it: a password, or an OAuth2 refresh token (Docker's "identity token").

    Its ``repr`` shows no secret.
    """

    user: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)


class Keychain:
    """The logins of this machine's user. Safe to use from several threads.

    Files are read once, and a helper is asked once for each registry; who changes them makes a new keychain.
    ``given`` are logins by registry that count before all that is kept. A helper that fails stops nothing, as many
    images are for everybody: ``note`` is told of it, and :meth:`trouble` remembers it for those who are refused.
    """

    def __init__(
        self, given: Mapping[str, Login] | None = None, *, note: Callable[[str], None] = lambda message: None
    ) -> None:
        self._given = given or {}
        self._note = note
        self._lock = threading.Lock()
        self._files: tuple[_AuthFile, ...] | None = None
        self._questions: dict[tuple[str, str], _Question] = {}
        self._failures: dict[str, HelperFailed] = {}

    def find(self, host: str, path: str = "") -> Login | None:
        """The login for the repository ``path`` at ``host``, or None: nobody has logged in there.

        DOCKER_AUTH_CONFIG is looked at first, then the file in REGISTRY_AUTH_FILE or, without it, those of Podman and
        Docker. Raises :class:`UsageError` for a file that is broken.
        """
        host, _ = _split(host)
        if host in self._given:
            return self._given[host]
        for file in self._read():
            named = file.helper(host)
            if named:  # it alone is asked, though there may be older logins beside it
                login = self._ask(named, host)
            else:
                login = file.login(host, path)
                if login is None and named is None and file.store:
                    login = self._ask(file.store, host)
            if login is not None:
                return login
        return None

    def trouble(self, host: str) -> str:
        """For whoever ``host`` has refused: why a helper could not be asked, and what to do; ``""`` if all could."""
        with self._lock:
            failure = self._failures.get(_split(host)[0])
        return f"A login may be missing: {failure}" if failure else ""

    def _read(self) -> tuple[_AuthFile, ...]:
        with self._lock:
            if self._files is None:
                self._files = _files()
            return self._files

    def _ask(self, name: str, host: str) -> Login | None:
        with self._lock:
            question = self._questions.setdefault((name, host), _Question(name, host))
        try:
            return question.answer()
        except HelperFailed as error:
            with self._lock:
                new = host not in self._failures
                self._failures.setdefault(host, error)
            if new:
                reason = error.message.partition("\n")[0]
                self._note(f"{reason}; going on without a login that it may have for {host}")
            return None


class _Question:
    """What a helper says of one registry: asked once, by whoever comes first; the others wait."""

    def __init__(self, name: str, host: str) -> None:
        self._name = name
        self._host = host
        self._lock = threading.Lock()
        self._asked = False
        self._login: Login | None = None
        self._error: WherryError | None = None

    def answer(self) -> Login | None:
        with self._lock:
            if not self._asked:
                try:
                    self._login = _held(Helper(self._name), self._host)
                except WherryError as error:
                    self._error = error
                self._asked = True
        if self._error is not None:
            raise self._error
        return self._login


def _held(helper: Helper, host: str) -> Login | None:
    """What ``helper`` has for ``host``."""
    found = helper.get(_server(host))
    if found is None:
        return None
    user, secret = found
    return Login("", "", secret) if user == _TOKEN_USER else Login(user, secret)


# -- login and logout --------------------------------------------------------------------------------


def store_login(host: str, login: Login) -> str:
    """Keep ``login`` for ``host``, for us and for Docker or Podman; gives the file or the helper that has it now.

    In the file in REGISTRY_AUTH_FILE or in Docker's config.json, or in the helper that this file names. What else is
    in the file stays. Where another login goes before this one, the answer says so, too. Raises :class:`UsageError` for
    a login that cannot be written or a broken file, :class:`~wherry.errors.WherryError` where it cannot be kept.
    """
    host, _ = _split(host)
    entry = _entry(login)
    path = _own_place()
    file = _read(path)
    hiding = _hiding(host, login, str(path))
    name = file.helper_or_store(host)
    if name:
        user, secret = (_TOKEN_USER, login.identity_token) if login.identity_token else (login.user, login.password)
        Helper(name).store(_server(host), user, secret)
        entry = {}  # as Docker does: it tells other tools that the helper has a login
    key = host if os.environ.get("REGISTRY_AUTH_FILE") else _server(host)
    _write_changed(path, file, {**file.without(host), key: entry})
    kept = Helper(name).program if name else str(path)
    return f"{kept}, but {hiding}, which goes first" if hiding else kept


def _hiding(host: str, login: Login, own: str) -> str:
    """What goes before ``login`` in the file ``own``: where there is another for ``host``, or for a part of it."""
    for file in _files():
        ours = file.name == own  # of which only parts of the registry go before the whole
        keys = [key for key in file.auths if _split(key)[0] == host and not (ours and _split(key)[1] == "")]
        for key in () if file.helper(host) else keys:
            if _login(file.auths[key], _named(key, file.name)) not in {None, login}:
                return f"{file.name} has another for {'/'.join(filter(None, (host, _split(key)[1])))}"
        name = "" if ours else file.helper_or_store(host)
        with suppress(HelperFailed):  # then it is passed over
            if name and _held(Helper(name), host) not in {None, login}:
                return f"{Helper(name).program} has another for {host}"
    return ""


def forget_login(host: str) -> bool:
    """Remove what :func:`store_login` keeps for ``host``; gives whether there was anything.

    Raises as :func:`store_login` does.
    """
    host, _ = _split(host)
    path = _own_place()
    file = _read(path)
    known = any(any(file.auths[key].values()) for key in file.keys(host, ""))
    name = file.helper_or_store(host)
    if name and _held(Helper(name), host) is not None:  # helpers disagree on what erasing nothing is
        Helper(name).erase(_server(host))
        known = True
    _write_changed(path, file, file.without(host))
    return known


# -- the files ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _AuthFile:
    """A file of logins; ``name`` is for people. ``helpers`` are by registry, ``store`` is the helper for all others."""

    name: str
    content: JsonObject
    auths: Mapping[str, Mapping[str, str]]
    helpers: Mapping[str, str]
    store: str

    def helper(self, host: str) -> str | None:
        """The helper for ``host``; ``""`` if it is to have none, None if the file does not say."""
        return self.helpers.get(
            host, next((name for key, name in self.helpers.items() if _split(key) == (host, "")), None)
        )

    def helper_or_store(self, host: str) -> str:
        """The helper that keeps logins for ``host``, or ``""``."""
        named = self.helper(host)
        return self.store if named is None else named

    def keys(self, host: str, namespace: str) -> list[str]:
        """The keys that stand for a namespace, or for a registry itself if it is empty: URLs last."""
        return sorted((key for key in self.auths if _split(key) == (host, namespace)), key=lambda key: "://" in key)

    def login(self, host: str, path: str) -> Login | None:
        """The login for the most specific namespace that ``path`` is in."""
        for namespace in _namespaces(path):
            for key in self.keys(host, namespace):
                if login := _login(self.auths[key], _named(key, self.name)):
                    return login
        return None

    def without(self, host: str) -> dict[str, Json]:
        """The value of ``auths`` without the registry at ``host``, whatever it is called; its namespaces stay."""
        auths = as_object(self.content.get("auths"), "auths")
        return {key: value for key, value in auths.items() if _split(key) != (host, "")}


def _split(key: str) -> tuple[str, str]:
    """Host and namespace that a key stands for; a URL stands for its host."""
    _, scheme, rest = key.rpartition("://")
    host, _, namespace = rest.partition("/")
    url = scheme or namespace in {"v1/", "v2/"}
    return canonical(host), "" if url else namespace.strip("/")


def _server(host: str) -> str:
    """What Docker calls a registry in its file, and helpers know it by."""
    return _HUB_SERVER if host == HUB else host


def _namespaces(path: str) -> Iterator[str]:
    """``path`` and what it is in, up to the registry itself (``""``)."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


def _named(key: str, file: str) -> str:
    """What errors call an entry of ``auths``."""
    return f"the login for {redacted(key)} in {file}"


def _login(entry: Mapping[str, str], what: str) -> Login | None:
    """An entry of ``auths``; an empty one is None."""
    user, password, token = entry["username"], entry["password"], entry["identitytoken"]
    if entry["auth"]:
        try:
            decoded = base64.b64decode("".join(entry["auth"].split()), validate=True).decode()
        except ValueError:
            decoded = ""
        user, colon, password = decoded.partition(":")
        if not colon:
            raise UsageError(f"{what} is broken: auth should be USER:PASSWORD in base64", hint="Log in again.")
        password = password.strip("\0")  # old Dockers padded it
    return Login(user, password, token) if user or password or token else None


def _entry(login: Login) -> dict[str, Json]:
    """``login`` as an entry of ``auths``."""
    if ":" in login.user:
        raise UsageError("a user name cannot hold a colon", hint="The registry tells the user from the password by it.")
    try:
        auth = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        login.identity_token.encode()
    except UnicodeEncodeError:
        raise UsageError("the user name or the password is not UTF-8") from None
    token: dict[str, Json] = {"identitytoken": login.identity_token} if login.identity_token else {}
    return {"auth": auth, **token}


def _files() -> tuple[_AuthFile, ...]:
    """All that may hold logins and is not empty, in the order of its weight."""
    given = os.environ.get("DOCKER_AUTH_CONFIG", "").encode("utf-8", "surrogateescape")
    found = [_parse(given, "DOCKER_AUTH_CONFIG"), *map(_read, _places())]
    return tuple(file for file in found if file.content)


def _places() -> list[Path]:
    """The files that may hold logins, in the order of their weight."""
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        return [Path(named)]
    home = _home()
    folders = []
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(runtime, "containers"))
    elif sys.platform != "win32":
        folders.append(Path(f"/run/containers/{os.getuid()}"))
    if config := os.environ.get("XDG_CONFIG_HOME"):
        folders.append(Path(config, "containers"))
    elif home is not None:
        folders.append(home / ".config" / "containers")
    docker = _docker_config()
    return [*(folder / "auth.json" for folder in folders), *([docker] if docker else [])]


def _own_place() -> Path:
    """The file that we write."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    path = Path(named) if named else _docker_config()
    if path is None:
        raise UsageError("there is no home folder to keep a login in", hint="Name a folder in DOCKER_CONFIG.")
    return path


def _docker_config() -> Path | None:
    """Docker's config.json; None without a home to have it in."""
    if named := os.environ.get("DOCKER_CONFIG"):
        return Path(named, "config.json")
    home = _home()
    return home / ".docker" / "config.json" if home is not None else None


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        return None


def _read(path: Path) -> _AuthFile:
    """The file at ``path``; one that is not there is empty."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        data = b""
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM} and not os.access(path, os.F_OK):
            data = b""  # in a folder that is somebody else's: by sudo, the variables may be
        else:
            raise UsageError(f"cannot read {path}, which may hold logins: {error.strerror or error}") from None
    return _parse(data, str(path))


def _parse(data: bytes, name: str) -> _AuthFile:
    """Raises :class:`UsageError` that says nothing of the content."""
    try:
        content = load_object(data, name) if data.strip() else {}
        auths = as_object(content.get("auths"), f"auths in {name}")
        entries = {key: as_object(value, _named(key, name)) for key, value in auths.items()}
        return _AuthFile(
            name,
            content,
            {
                key: {part: as_str(value.get(part), f"{part} for {redacted(key)} in {name}") for part in _FIELDS}
                for key, value in entries.items()
            },
            as_string_map(content.get("credHelpers"), f"credHelpers in {name}"),
            as_str(content.get("credsStore"), f"credsStore in {name}"),
        )
    except WherryError as error:
        raise UsageError(error.message, hint="It should be what docker login or podman login writes.") from None


def _write_changed(path: Path, file: _AuthFile, auths: Mapping[str, Json]) -> None:
    """Let ``auths`` be those of ``file`` at ``path``, if they are not."""
    if auths != as_object(file.content.get("auths"), "auths"):
        _write(path, json.dumps({**file.content, "auths": auths}, indent="\t").encode())


def _write(path: Path, data: bytes) -> None:
    """Replace the file at ``path``, for its owner's eyes alone; a symbolic link stays, and its target is replaced."""
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():  # such as /dev/null
            raise UsageError(f"cannot keep a login in {path}: it is no file")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if sys.platform != "win32":
                with suppress(OSError):  # root may log in for the owner of the home
                    status = target.stat()
                    os.chown(temporary, status.st_uid, status.st_gid)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise WherryError(
            f"cannot keep the login in {path}: {error.strerror or error}",
            hint="Name another file in REGISTRY_AUTH_FILE, or another folder in DOCKER_CONFIG.",
        ) from None
