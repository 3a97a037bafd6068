"""Which Dockerfile is built, and what its .dockerignore leaves out of the context."""

# ruff: noqa: PTH110, PTH112, PTH113 (os.path.exists and its like: they raise nothing, whatever they are given)

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wherry.errors import UsageError, WherryError, did_you_mean
from wherry.fetch import Fetcher
from wherry.sources.ignore import parse
from wherry.sources.location import OpenedContext, standard_input
from wherry.urls import redacted

NAME = "Dockerfile"
IGNORE = ".dockerignore"
_LARGEST = 16 << 20
_LINKS = 40


@dataclass(frozen=True, slots=True)
class FoundDockerfile:
    """A Dockerfile: its ``name`` as errors show it, its bytes, and the patterns of what is no part of the context."""

    name: str
    content: bytes
    ignore: tuple[str, ...] = ()
    ignore_file: str = ""

    @property
    def text(self) -> bytes:
        """The bytes, to be decoded by who reads the language."""
        return self.content


def find_dockerfile(
    context: OpenedContext | Path, given: str = "", *, fetcher: Fetcher | None = None, stdin: BinaryIO | None = None
) -> FoundDockerfile:
    """The Dockerfile of ``context``.

    ``given`` is ``-f``: a path from the working directory (from the context, where that is an archive, a repository or
    a URL), ``-`` for standard input, a URL, or nothing for ``Dockerfile`` (then ``dockerfile``). Patterns come from
    ``NAME.dockerignore`` beside it, or else from ``.dockerignore`` in the context. Raises :class:`UsageError` if there
    is none, or if a pattern is malformed.
    """
    if isinstance(context, Path):
        context = OpenedContext(context)
    if given == "-":
        if context.from_stdin:
            raise UsageError(
                "standard input cannot be both the build context and the Dockerfile",
                hint="Put the Dockerfile into the archive, and name it with -f.",
            )
        content = standard_input(stdin).read(_LARGEST + 1)
        if not content.strip():
            raise UsageError("the Dockerfile on standard input is empty")
        return _with_ignore(FoundDockerfile("-", _checked(content, "standard input")), context)
    if given.startswith(("http://", "https://")):
        if fetcher is None:
            raise UsageError(f"{redacted(given)}: the Dockerfile is not on this machine")
        return _with_ignore(FoundDockerfile(redacted(given), fetcher.read(given, limit=_LARGEST)), context)
    if context.dockerfile is not None:
        if given:
            raise UsageError(
                "the context is a Dockerfile, and -f names another", hint="Leave -f away, or name a directory."
            )
        return FoundDockerfile(NAME, context.dockerfile)
    if given and not context.ours:
        return _named(Path(given), given, context)
    return _inside(context, given or NAME)


def _named(path: Path, given: str, context: OpenedContext) -> FoundDockerfile:
    """A Dockerfile that the user names: it may be anywhere, and be a link."""
    if not os.path.exists(path) and path.name == NAME and os.path.isfile(path.with_name(NAME.lower())):
        path = path.with_name(NAME.lower())
    if os.path.isdir(path):
        near = f"Did you mean {path / NAME}?" if os.path.isfile(path / NAME) else None
        raise UsageError(f"{given} is a directory", hint=near)
    if not os.path.exists(path):
        inside = context.root / given
        if os.path.isfile(inside) and not Path(given).is_absolute():
            raise UsageError(
                f"there is no Dockerfile {given}",
                hint=f"A path starts at the working directory: did you mean {os.path.relpath(inside)}?",
            )
        raise UsageError(f"there is no Dockerfile {given}", hint=_near(path.parent, path.name))
    found = FoundDockerfile(given, _read(path, given))
    own = path.with_name(f"{Path(given).name}{IGNORE}")
    if os.path.isfile(own):
        return _ignoring(found, _read(own, f"{given}{IGNORE}"), f"{given}{IGNORE}")
    return _with_ignore(found, context)


def _read(path: Path, shown: str) -> bytes:
    try:
        with path.open("rb") as file:
            return _checked(file.read(_LARGEST + 1), shown)
    except OSError as error:
        raise WherryError(f"cannot read {shown}: {error.strerror}") from error


def _inside(context: OpenedContext, name: str) -> FoundDockerfile:
    """A Dockerfile in the context, from which no link leads out."""
    names = [name]
    folder, _, last = name.rpartition("/")
    if last == NAME:
        names.append(f"{folder}/{NAME.lower()}" if folder else NAME.lower())
    for one in names:
        content = read_inside(context.root, one)
        if content is not None:
            own = read_inside(context.root, f"{name}{IGNORE}")
            found = FoundDockerfile(one, content)
            return _with_ignore(found, context) if own is None else _ignoring(found, own, f"{name}{IGNORE}")
    shown = "the build context" if context.ours else str(context.root)
    if os.path.lexists(context.root / name):
        where = os.path.realpath(context.root / name)
        what = "a directory" if os.path.isdir(where) else "no file" if os.path.exists(where) else "a link to nothing"
        raise UsageError(f"{name} in {shown} is {what}", hint="--frontend project builds a Python project without it.")
    raise UsageError(f"there is no {name} in {shown}", hint=_near(context.root / folder, last))


def _near(folder: Path, name: str) -> str | None:
    try:
        files = [item.name for item in os.scandir(folder) if item.is_file()]
    except OSError:
        return f"There is no folder {folder}."
    alike = [one for one in files if "ockerfile" in one and not one.endswith(IGNORE)]
    if len(alike) == 1:
        return f"Did you mean {alike[0]!r}? Name it with -f."
    return did_you_mean(name, alike) if alike else None


def _with_ignore(found: FoundDockerfile, context: OpenedContext) -> FoundDockerfile:
    content = read_inside(context.root, IGNORE)
    return found if content is None else _ignoring(found, content, IGNORE)


def _ignoring(found: FoundDockerfile, content: bytes, file: str) -> FoundDockerfile:
    patterns = parse(content.decode("utf-8", "surrogateescape"), file)
    return FoundDockerfile(found.name, found.content, patterns, file)


def _checked(content: bytes, what: str) -> bytes:
    if len(content) > _LARGEST:
        raise UsageError(f"{what} has more than {_LARGEST} bytes: it is no Dockerfile")
    return content


def read_inside(root: Path, name: str) -> bytes | None:
    """The content of the file ``name`` below ``root``, or None if there is none.

    Links are followed within ``root``, as if it were the root directory. Raises :class:`UsageError` for one that leads
    out by its own words, as a Dockerfile of somebody else must not show files of this machine.
    """
    done: list[str] = []
    rest = name.split("/")[::-1]
    links = 0
    mode = stat.S_IFDIR
    while rest:
        part = rest.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not done:
                raise _leads_out(name)
            done.pop()
            continue
        here = root.joinpath(*done, part)
        try:
            mode = here.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise WherryError(f"cannot read {name}: {error.strerror}") from error
        if not stat.S_ISLNK(mode):
            done.append(part)
            continue
        links += 1
        target = os.readlink(here)  # noqa: PTH115  (a Path would drop "./")
        if target.startswith("/") or links > _LINKS:
            raise _leads_out(name)
        rest += target.split("/")[::-1]
    if not stat.S_ISREG(mode):  # not even opened: with some devices that does something
        return None
    path = root.joinpath(*done)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return _checked(file.read(_LARGEST + 1), name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WherryError(f"cannot read {name}: {error.strerror}") from error


def _leads_out(name: str) -> UsageError:
    return UsageError(
        f"{name} is a link that leads out of the build context",
        hint="If it is meant so, name the Dockerfile itself with -f.",
    )
