"""A project folder as the planner sees it: names relative to it, with ``/``, and texts."""

from __future__ import annotations

import codecs
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

        Raises :class:`UsageError` at ``place`` if it leads out of the folder.
        """
        path = Path(target)
        if path.is_absolute():
            try:
                target = path.relative_to(self.root.absolute()).as_posix()
            except ValueError:
                raise _outside(target, place) from None
        else:
            target = posixpath.join(posixpath.dirname(beside), target.replace(os.sep, "/"))
        inside = posixpath.normpath(target)
        if inside == ".." or inside.startswith("../"):
            raise _outside(target, place)
        return inside


def _is_directory(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _outside(target: str, place: Place) -> UsageError:
    return UsageError(
        f"{target} is outside the project folder",
        place=place,
        hint="A build reads only its own folder: move it in, or build from the folder that holds both.",
    )
