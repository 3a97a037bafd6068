"""A project folder as the planner sees it: names relative to it, with ``/``, and texts."""

from __future__ import annotations

import codecs
import copy
import os
import posixpath
from pathlib import Path

from wherry.errors import Place, UsageError, WherryError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Folder:
    """The folder at ``root``. Raises :class:`UsageError` if it is not a directory, or empty."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            with os.scandir(root) as listing:
                kinds = {item.name: _is_directory(item) for item in listing}
        except FileNotFoundError:
            raise UsageError(f"the project folder {root} does not exist") from None
        except NotADirectoryError:
            hint = "Give the folder that holds it."
            raise UsageError(f"{root} is a file, not a project folder", hint=hint) from None
        except OSError as error:
            raise WherryError(f"cannot read the project folder {root}: {error.strerror}") from error
        self.files = frozenset(name for name, is_dir in kinds.items() if not is_dir)
        """The names of the files at the top."""
        self.directories = frozenset(kinds) - self.files
        """The names of the directories at the top."""
        self.outside: tuple[str, ...] = ()
        """Folders outside of it that a build may read as well, relative to it."""

    def reaching(self, outside: tuple[str, ...]) -> Folder:
        """The same folder, with the folders ``outside`` of it that the project declares."""
        other = copy.copy(self)
        other.outside = outside
        return other

    def has(self, path: str) -> bool:
        """Whether ``path`` is a file here, and in no directory that we may not look into."""
        if "/" not in path:
            return path in self.files
        try:
            return (self.root / path).is_file()
        except OSError:
            return False

    def has_directory(self, path: str) -> bool:
        """Whether ``path`` is a directory here."""
        return (self.root / path).is_dir()

    def text(self, path: str, place: Place | None = None) -> str:
        """The text of a file, without a byte order mark, its lines ended by ``\\n``.

        Raises :class:`WherryError`, at ``place``, if it is missing, unreadable or not UTF-8.
        """
        try:
            data = (self.root / path).read_bytes()
        except FileNotFoundError:
            raise UsageError(f"there is no file {path} in the project", place=place) from None
        except IsADirectoryError:
            raise UsageError(f"{path} is a directory, not a file", place=place) from None
        except OSError as error:
            hint = f"Check the permissions of {self.root / path}."
            raise WherryError(f"cannot read {path}: {error.strerror}", place=place, hint=hint) from error
        if data.startswith(_UTF16):
            hint = "Save it as UTF-8; in PowerShell: … | Out-File -Encoding utf8."
            raise UsageError("the file is in UTF-16", place=Place(path), hint=hint)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise UsageError("the file is not UTF-8", place=Place(path, line), hint="Save it as UTF-8.") from None
        return text.replace("\r\n", "\n")

    def inside(self, target: str, place: Place, *, beside: str = "") -> str:
        """``target``, as a file at ``beside`` names it, relative to the folder.

        Raises :class:`UsageError` at ``place`` if it leads, by its name or by symbolic links, to where no build may
        read: out of the folder, and into none of those ``outside`` that are declared.
        """
        if Path(target).is_absolute():
            path = os.path.relpath(target, self.root.absolute()).replace(os.sep, "/")
        else:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(beside), target.replace(os.sep, "/")))
        if leads_out(path) and not any(_is_below(path, one) for one in self.outside):
            raise _outside(target, path, place)
        real = Path(os.path.realpath(self.root / path))
        if not any(real.is_relative_to(os.path.realpath(self.root / one)) for one in ("", *self.outside)):
            to = os.path.relpath(real, os.path.realpath(self.root)).replace(os.sep, "/")
            raise _outside(f"{target}, a link to {to}," if not leads_out(path) else target, to, place)
        return path


def leads_out(path: str) -> bool:
    """Whether ``path``, which is normal and relative to a folder, is outside of that."""
    return path == ".." or path.startswith("../")


def _is_below(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or in it, by name; both may lead out, and are normal."""
    return path == top or (path.startswith(f"{top}/") and not leads_out(path[len(top) + 1 :]))


def _is_directory(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _outside(target: str, path: str, place: Place) -> UsageError:
    return UsageError(
        f"{target.rstrip('/') or target} is outside the project folder",
        place=place,
        hint="A build reads only its own folder: move it in, build from the folder that holds both, or declare it in "
        f'[tool.wherry]: outside = ["{path}"].',
    )
