"""``RUN --mount``: the options of each type, and what they are when they are not given."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from wherry.errors import did_you_mean
from wherry.frontends.dockerfile.errors import Span
from wherry.frontends.dockerfile.gotext import parse_bool, parse_size, parse_unsigned, quote
from wherry.plan import MountKind, Origin, RunMount, Sharing

_KINDS: Mapping[str, MountKind] = {kind: kind for kind in get_args(MountKind)}
_SHARINGS: Mapping[str, Sharing] = {sharing: sharing for sharing in get_args(Sharing)}
_NAMES = {
    "type": "type",
    "from": "from",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "readwrite": "readwrite",
    "rw": "readwrite",
    "required": "required",
    "size": "size",
    "id": "id",
    "sharing": "sharing",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "env": "env",
}
_MODES: Mapping[MountKind, int] = {"secret": 0o400, "ssh": 0o600}
_WITH_OWNER = frozenset({"secret", "ssh", "cache"})


@dataclass(slots=True)
class _Given:
    """The options that were given."""

    type: MountKind = "bind"
    origin: str = ""
    source: str = ""
    target: str = ""
    read_only: bool | None = None
    id: str = ""
    sharing: Sharing | None = None
    required: bool = False
    size: int = 0
    env: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a mount is read in: how values are expanded, what names mean, and where RUN would run.

    ``origin`` gives the stage, context or image of a name, and of no name the main context.
    """

    span: Span
    expand: Callable[[str], str]
    origin: Callable[[str], Origin]
    workdir: str


def source_name(text: str, span: Span) -> str:
    """The name of the stage, context or image that a mount is from, or nothing. Variables are not expanded in it."""
    name = ""
    for option in _options(text, span):
        key, equals, value = option.partition("=")
        if equals and key.lower() == "from":
            if re.search(r"\$.", value):
                raise span.error("'from' doesn't support variable expansion, define alias stage instead")
            name = value
    return name


def mounts(texts: tuple[str, ...], around: Surroundings) -> tuple[RunMount, ...]:
    """The mounts of a RUN. Raises :class:`~wherry.frontends.dockerfile.errors.DockerfileError`."""
    found: list[RunMount] = []
    sockets = 0
    for text in texts:
        given = _read(text, around)
        _check(given, around.span)
        found.append(_mount(given, around, sockets))
        sockets += given.type == "ssh"
    return tuple(found)


def _options(text: str, span: Span) -> list[str]:
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise span.error(f"failed to parse csv mounts: {error}") from None
    return rows[0] if rows else [""]


def _read(text: str, around: Surroundings) -> _Given:
    given = _Given()
    for option in _options(text, around.span):
        key, equals, value = option.partition("=")
        key = key.lower()
        if not equals and key not in {"readonly", "ro", "readwrite", "rw", "required"}:
            raise around.span.error(f"invalid field '{option[:200]}' must be a key=value pair")
        _set(given, key, around.expand(value) if equals else "true", option, around.span)
    return given


def _set(given: _Given, key: str, value: str, option: str, span: Span) -> None:  # noqa: PLR0912
    match _NAMES.get(key, ""):
        case "type":
            if value.lower() not in _KINDS:
                raise span.error(f"unsupported mount type {quote(value[:100])}", did_you_mean(value[:100], _KINDS))
            given.type = _KINDS[value.lower()]
        case "from":
            given.origin = value
        case "source":
            given.source = value
        case "target":
            given.target = value
        case "readonly":
            given.read_only = _boolean(key, value, span)
        case "readwrite":
            given.read_only = not _boolean(key, value, span)
        case "required" if given.type in {"secret", "ssh"}:
            given.required = _boolean(key, value, span)
        case "size" if given.type == "tmpfs":
            try:
                given.size = parse_size(value)
            except ValueError:
                raise span.error(f"invalid value for size: {value[:100]}", "Write it as 64m or 1g.") from None
        case "required" | "size":
            raise span.error(f"unexpected key '{key}' for mount type '{given.type}'")
        case "id":
            given.id = value
        case "sharing":
            if value.lower() not in _SHARINGS:
                message = f"unsupported sharing value {quote(value[:100])}"
                raise span.error(message, did_you_mean(value[:100], _SHARINGS))
            given.sharing = _SHARINGS[value.lower()]
        case "mode":
            given.mode = _number(key, value, 8, span)
        case "uid":
            given.uid = _number(key, value, 10, span)
        case "gid":
            given.gid = _number(key, value, 10, span)
        case "env":
            given.env = value
        case _:
            message = f"unexpected key '{key[:100]}' in '{option[:200]}'"
            raise span.error(message, did_you_mean(key[:100], _NAMES))


def _boolean(key: str, value: str, span: Span) -> bool:
    try:
        return parse_bool(value)
    except ValueError:
        raise span.error(f"invalid value for {key}: {value[:100]}") from None


def _number(key: str, value: str, base: int, span: Span) -> int:
    try:
        return parse_unsigned(value, base, 32)
    except ValueError:
        raise span.error(f"invalid value {value[:100]} for {key}") from None


def _check(given: _Given, span: Span) -> None:
    """What BuildKit does not allow together."""
    if given.type not in _WITH_OWNER:
        for name, number in (("mode", given.mode), ("uid", given.uid), ("gid", given.gid)):
            if number is not None:
                raise span.error(f"{name} not allowed for {quote(given.type)} type mounts")
    if given.type == "secret":
        if given.origin:
            raise span.error("secret mount should not have a from")
        if given.sharing:
            raise span.error("secret mount should not define sharing")
        if not (given.source or given.target or given.id):
            raise span.error("invalid secret mount. one of source, target required")
        if given.source and given.id:
            raise span.error("both source and id can't be set")
    if given.sharing and given.type != "cache":
        raise span.error(f"invalid cache sharing set for {given.type} mount")
    if given.type == "ssh" and given.source:
        raise span.error("ssh does not support source")


def _mount(given: _Given, around: Surroundings, sockets: int) -> RunMount:
    uid, gid = given.uid or 0, given.gid or 0
    mode = _MODES.get(given.type, 0o755) if given.mode is None else given.mode & 0o7777
    if given.type == "secret":
        name = given.id or given.source or posixpath.basename(given.target.rstrip("/"))
        target = given.target or ("" if given.env else "/run/secrets/" + posixpath.basename(name.rstrip("/")))
        target = _absolute(target, around.workdir) if target else ""
        return RunMount("secret", target, id=name, mode=mode, env=given.env, required=given.required, uid=uid, gid=gid)
    if given.type == "ssh":
        target = given.target or f"/run/buildkit/ssh_agent.{sockets}"
        return RunMount(
            "ssh",
            _absolute(target, around.workdir),
            id=given.id or "default",
            mode=mode,
            required=given.required,
            uid=uid,
            gid=gid,
        )
    target = _absolute(given.target, around.workdir)
    if target == "/":
        raise around.span.error('invalid mount target "/"', "Say where to mount it: target=/path.")
    read_only = given.type == "bind" if given.read_only is None else given.read_only
    if given.type == "tmpfs":
        return RunMount("tmpfs", target, read_only=read_only, size=given.size)
    source = posixpath.normpath("/" + given.source.lstrip("/"))
    if given.type == "cache":
        origin: Origin | None = around.origin(given.origin) if given.origin and given.origin != "scratch" else None
        return RunMount(
            "cache",
            target,
            origin,
            source,
            read_only=read_only,
            id=given.id or posixpath.normpath(given.target or "."),
            sharing=given.sharing or "shared",
            mode=mode,
            uid=uid,
            gid=gid,
        )
    return RunMount("bind", target, around.origin(given.origin), source, read_only=read_only)


def _absolute(path: str, workdir: str) -> str:
    """``path``, relative ones starting at ``workdir``, without ``.`` and ``..`` in it."""
    joined = posixpath.normpath(posixpath.join("/", workdir, path))
    return "/" + joined.lstrip("/")
