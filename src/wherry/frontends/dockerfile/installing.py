"""How a written Dockerfile installs: what uv is told for each kind of requirements, and which files it is shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from wherry.errors import UsageError
from wherry.frontends.dockerfile.contextfiles import needs_everything
from wherry.plan import BuildWheels, Indexes, Requirements, RequirementsKind
from wherry.urls import redacted

SOURCE = "/src"
"""Where the compile stage is shown the project."""

UV = "/opt/uv/bin/uv"
_ROOT = "."
_EXPORTS: Mapping[RequirementsKind, str] = {
    "poetry.lock": "`poetry export -o requirements.txt` writes what is locked; --requirements takes it.",
    "pdm.lock": "`pdm export -f pylock -o pylock.toml` writes what is locked, and pylock.toml goes before pdm.lock.",
    "Pipfile.lock": "`pipenv requirements > requirements.txt` writes what is locked; --requirements takes it.",
}


def mounts(requirements: Requirements) -> tuple[str, ...]:
    """Bind mounts of what is read: the files by name, or the whole context, which a backend may write to in vain."""
    if needs_everything(requirements) or any("://" not in link for link in requirements.indexes.find_links):
        return (f"type=bind,target={SOURCE},rw",)
    return tuple(f"type=bind,source={path},target={SOURCE}/{path}" for path in requirements.inputs)


def locked_first(requirements: Requirements) -> tuple[str, ...]:
    """Bind mounts that do for all but the project itself, where those can be installed before it; else none."""
    if requirements.kind != "uv.lock" or requirements.projects != (_ROOT,):
        return ()
    return tuple(f"type=bind,source={path},target={SOURCE}/{path}" for path in ("uv.lock", "pyproject.toml"))


def commands(requirements: Requirements, builds: BuildWheels | None, *, first: bool = False) -> Iterator[str]:
    """The shell commands that install ``requirements``; with ``first``, all but the project itself.

    Raises :class:`UsageError` for what a Dockerfile cannot install.
    """
    if beyond := [path for path in requirements.projects if path.startswith("../")]:
        raise UsageError(
            f"{', '.join(beyond)} lies outside of the project, and docker build sees nothing of it",
            hint="Move it in, or build with wherry.",
        )
    options = (*_indexes(requirements.indexes), *_builds(builds))
    match requirements.kind:
        case "uv.lock":
            words = ["sync", "--frozen" if first else "--locked", "--no-default-groups", "--no-editable"]
            words += [*(["--no-install-project"] if first else []), *_chosen(requirements), *_for_sync(requirements)]
            yield _line("sync", words[1:], options, builds)
            return
        case "pyproject" if _ROOT in requirements.projects:
            extras = f"[{','.join(requirements.extras)}]" if requirements.extras else ""
            groups = [f"--group={name}" for name in requirements.groups]
            yield _line(
                "pip install", ["--no-editable", f".{extras}", *groups, *_for_pip(requirements)], options, builds
            )
            return
        case "pylock" | "requirements.txt" | "pyproject":
            words = ["--no-editable", "--requirements", requirements.path]
            yield _line("pip install", [*words, *_chosen(requirements), *_for_pip(requirements)], options, builds)
        case _:
            raise UsageError(
                f"{requirements.path or 'such requirements'} cannot be installed by a Dockerfile: uv does not read it",
                hint=_EXPORTS.get(requirements.kind),
            )
    if _ROOT in requirements.projects:
        words = ["--no-editable", "--no-deps", _ROOT, *_for_pip(requirements)]
        yield _line("pip install", words, options, builds)


def pip_options(indexes: Indexes) -> tuple[str, ...]:
    """What pip is told of the indexes that uv itself comes from."""
    if indexes.no_index:
        return ()
    default = [f"--index-url={redacted(indexes.index_url)}"] if indexes.index_url else []
    return (*default, *(f"--extra-index-url={redacted(url)}" for url in indexes.extra_index_urls))


def has_secrets(indexes: Indexes) -> bool:
    """Whether a URL holds a password, which is not written down."""
    urls = (indexes.index_url, *indexes.extra_index_urls, *indexes.find_links)
    return any(redacted(url) != url for url in urls)


def _line(command: str, words: list[str], options: tuple[str, ...], builds: BuildWheels | None) -> str:
    variables = [f"{name}={shlex.quote(value)}" for name, value in (builds.env if builds else ())]
    line = " ".join((*variables, UV, command, *map(shlex.quote, (*words, *options))))
    if "\n" in line or "\r" in line:
        raise UsageError("a setting of two lines cannot be written into a Dockerfile", hint="Look at build-env.")
    return line


def _chosen(requirements: Requirements) -> list[str]:
    return [*(f"--extra={name}" for name in requirements.extras), *(f"--group={name}" for name in requirements.groups)]


def _for_pip(requirements: Requirements) -> list[str]:
    return [
        *(f"--no-binary={name}" for name in requirements.no_binary),
        *(f"--only-binary={name}" for name in requirements.only_binary),
    ]


def _for_sync(requirements: Requirements) -> list[str]:
    words = []
    for name in requirements.no_binary:
        words.append("--no-binary" if name == ":all:" else f"--no-binary-package={name}")
    for name in requirements.only_binary:
        words.append("--no-build" if name == ":all:" else f"--no-build-package={name}")
    return words


def _indexes(indexes: Indexes) -> tuple[str, ...]:
    words = [f"--default-index={redacted(indexes.index_url)}"] if indexes.index_url else []
    words += [f"--index={redacted(url)}" for url in indexes.extra_index_urls]
    words += [f"--find-links={redacted(place)}" for place in indexes.find_links]
    words += ["--no-index"] if indexes.no_index else []
    # As with pip and with wherry, the best version of all indexes wins.
    words += ["--index-strategy=unsafe-best-match"] if indexes.extra_index_urls else []
    return tuple(words)


def _builds(builds: BuildWheels | None) -> tuple[str, ...]:
    found = []
    for of, name, values in builds.config_settings if builds else ():
        option, prefix = ("--config-settings-package", f"{of}:") if of else ("--config-setting", "")
        found += [f"{option}={prefix}{name}={value}" for value in values]
    if builds and builds.constraints:
        found.append(f"--build-constraints={CONSTRAINTS}")
    return tuple(found)


CONSTRAINTS = "/tmp/build-constraints.txt"
"""Where the compile stage has the constraints of backends' requirements."""


def constraints_command(builds: BuildWheels) -> str:
    """The shell command that writes :data:`CONSTRAINTS`."""
    return f"printf '%s\\n' {shlex.join(builds.constraints)} > {CONSTRAINTS}"
