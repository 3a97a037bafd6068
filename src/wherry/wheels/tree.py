"""A project's files: which of them belong to it, what they are worth as a hash, and a copy to build from.

A backend may write into the folder that it builds (``build/``, ``*.egg-info``), so it gets a copy. What it
could not need is left out: repositories, environments, caches, what an earlier build left behind.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from wherry.errors import UsageError
from wherry.lockfile import NAME

IGNORED = (
    ".git",
    ".hg",
    ".svn",
    ".tox",
    ".nox",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".idea",
    ".vscode",
    ".eggs",
    "__pycache__",
    "node_modules",
)
"""Folders of tools and repositories, which no build of a project reads."""

_IGNORED_SUFFIXES = (".pyc", ".pyo", ".egg-info", ".dist-info")

# Backends and plugins that take the version from the repository.
_VERSIONED = (
    "setuptools-scm",
    "setuptools_scm",
    "hatch-vcs",
    "hatch_vcs",
    "versioneer",
    "versioningit",
    "flit-scm",
    "flit_scm",
    "setuptools-git-versioning",
    "poetry-dynamic-versioning",
    "uv-dynamic-versioning",
    "pdm-backend",
    "pbr",
    "dunamai",
)


def walk(root: Path, without: Path | None = None) -> Iterator[Path]:
    """The files and symbolic links of the project at ``root``, relative to it, in order of their names.

    ``without`` is a folder that is passed over: the store may be kept in a checkout.

    Raises :class:`UsageError` for what cannot be read.
    """
    pending = [root]
    found: list[Path] = []
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            raise UsageError(f"cannot read {folder}: {error.strerror}") from None
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink() or entry.is_file():
                if not entry.name.endswith(_IGNORED_SUFFIXES) and not (folder == root and entry.name == NAME):
                    found.append(path.relative_to(root))
            elif entry.is_dir() and path != without and not _ignored(path, top=folder == root):
                pending.append(path)
    yield from sorted(found)


def fingerprint(root: Path, without: Path | None = None) -> str:
    """A hash of the project's files: names, contents, executable bits, and the repository's state if it matters."""
    from hashlib import file_digest, sha256

    total = sha256()
    for relative in walk(root, without):
        path = root / relative
        try:
            if path.is_symlink():
                kind, content = "link", os.fsencode(path.readlink()).hex()
            else:
                kind = "program" if path.stat().st_mode & 0o111 else "file"
                with path.open("rb") as file:
                    content = file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        total.update(f"{relative.as_posix()}\0{kind}\0{content}\n".encode(errors="surrogateescape"))
    if repository := versioning_repository(root):
        for name, path in _state(repository):
            # With its name: a tag may be renamed and still name the same commit.
            total.update(os.fsencode(name) + b"\0" + path.read_bytes())
    return total.hexdigest()


def copy(root: Path, destination: Path, *, epoch: int, without: Path | None = None) -> Path:
    """Copy the project at ``root`` into the empty folder ``destination``; gives the copy of ``root`` itself.

    Modes are 0644 or 0755 and times ``epoch``, whatever the umask was. Where the version comes from a git
    repository, all of its work tree comes along, and ``.git`` as well.
    """
    repository = versioning_repository(root)
    top = repository or root
    for relative in walk(top, without):
        source, target = top / relative, destination / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if source.is_symlink():
                target.symlink_to(source.readlink())
                continue
            shutil.copyfile(source, target)
            target.chmod(0o755 if source.stat().st_mode & 0o111 else 0o644)
        except OSError as error:
            if error.filename == str(source):
                raise UsageError(f"cannot read {source}: {error.strerror}") from None
            raise
        os.utime(target, (epoch, epoch))
    if repository:
        git = repository / ".git"
        if git.is_dir():
            shutil.copytree(git, destination / ".git", symlinks=True)
        else:  # a work tree or a submodule: a file that says where the repository is
            (destination / ".git").write_text(f"gitdir: {_folders(repository)[0]}\n", errors="surrogateescape")
    return destination / root.resolve().relative_to(top.resolve())


def versioning_repository(root: Path) -> Path | None:
    """The git work tree that the project at ``root`` takes its version from, if it does."""
    texts = []
    for name in ("pyproject.toml", "setup.cfg", "setup.py"):
        try:
            texts.append((root / name).read_text(errors="replace").lower())
        except OSError:
            continue
    if not any(word in text for word in _VERSIONED for text in texts):
        return None
    return next((folder for folder in (root.resolve(), *root.resolve().parents) if (folder / ".git").exists()), None)


def _ignored(path: Path, *, top: bool) -> bool:
    if path.name in IGNORED or path.name.endswith(_IGNORED_SUFFIXES):
        return True
    if (path / "pyvenv.cfg").is_file():
        return True
    # Only what tools leave there: a package may well be called build, or dist.
    return top and path.name in {"build", "dist"} and not (path / "__init__.py").is_file()


def _state(repository: Path) -> Iterator[tuple[str, Path]]:
    """The files that say where a git repository stands: its head and what its branches and tags are; with names."""
    for number, folder in enumerate(_folders(repository)):
        refs = sorted((folder / "refs").rglob("*"))
        for path in (folder / "HEAD", folder / "packed-refs", folder / "reftable/tables.list", *refs):
            if path.is_file():
                yield f"{number}/{path.relative_to(folder).as_posix()}", path


def _folders(repository: Path) -> tuple[Path, ...]:
    """Where git keeps what it knows of a work tree: its own folder, then, if another has its branches and tags, that.

    A further work tree or a submodule has a file in place of ``.git`` (gitrepository-layout(5)).
    """
    git = repository / ".git"
    if git.is_dir():
        return (git,)
    own = _named(git, repository, "gitdir: ")
    common = own / "commondir"
    return (own, _named(common, own)) if common.is_file() else (own,)


def _named(file: Path, beside: Path, prefix: str = "") -> Path:
    """The folder that ``file`` names, relative to ``beside``."""
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    return beside / os.fsdecode(text.rstrip(b"\r\n")).removeprefix(prefix)
