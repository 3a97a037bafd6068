"""The options of commands that build a Python project without a Dockerfile, or speak of such a build."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wherry.cli.options import key_values
from wherry.errors import Place, UsageError
from wherry.sources.base import names_path

if TYPE_CHECKING:
    import wherry

Settings = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Project:
    """What was said of a project, as click gives it."""

    base: str | None
    python: str | None
    entrypoint: str | None
    cmd: str | None
    env: tuple[str, ...]
    workdir: str | None
    user: str | None
    ports: tuple[str, ...]
    packages: tuple[str, ...]
    mirror: str | None
    build_base: str | None
    build_packages: tuple[str, ...]
    build_env: tuple[str, ...]
    config_settings: tuple[str, ...]
    native_libs: str | None
    no_binary: tuple[str, ...]
    only_binary: tuple[str, ...]
    requirements: str | None
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    index_url: str | None
    extra_index_urls: tuple[str, ...]
    find_links: tuple[str, ...]
    no_index: bool
    bytecode: bool | None

    def request(
        self, context: Path, *, platforms: tuple[str, ...], labels: tuple[str, ...], leave_out: tuple[str, ...]
    ) -> wherry.ProjectOptions:
        """The same for a build of ``context``. Raises :class:`UsageError` for what makes no sense."""
        import wherry
        from wherry.frontends.python import config
        from wherry.plan import Indexes

        return wherry.ProjectOptions(
            leave_out=leave_out,
            platforms=parse_platforms(platforms),
            base=_base(self.base or "", context),
            python=self.python or "",
            entrypoint=self.entrypoint,
            cmd=self.cmd,
            env=tuple(key_values(self.env, "--env").items()),
            workdir=self.workdir or "",
            user=self.user or "",
            ports=self.ports,
            packages=tuple(config.package(one, Place("--package")) for one in self.packages),
            mirror=self.mirror or "",
            build_base=_base(self.build_base or "", context),
            build_packages=tuple(config.package(one, Place("--build-package")) for one in self.build_packages),
            build_env=tuple(
                (config.variable(name, Place("--build-env")), value)
                for name, value in key_values(self.build_env, "--build-env").items()
            ),
            config_settings=_settings(self.config_settings),
            native_libs=config.native_libs(self.native_libs) if self.native_libs else None,
            no_binary=_names(self.no_binary),
            only_binary=_names(self.only_binary),
            requirements=self.requirements or "",
            extras=self.extras,
            groups=self.groups,
            indexes=Indexes(self.index_url or "", self.extra_index_urls, self.find_links, self.no_index),
            labels=tuple(key_values(labels, "--label").items()),
            bytecode=self.bytecode,
        )

    def given(self) -> Mapping[str, object]:
        """The options that were given and have no meaning for a Dockerfile, as they are written."""
        values = {option: getattr(self, name) for name, option in _OPTIONS.items() if name not in _MEANT_FOR_BOTH}
        return {option: value for option, value in values.items() if value not in {None, (), False}}


def project_options(function: Callable[..., object]) -> Callable[..., object]:
    """Add the options that say what a project's image is; ``function`` gets them as ``project``."""

    @functools.wraps(function)
    def wrapped(*args: object, **given: object) -> object:
        project = Project(**{one.name: given.pop(one.name) for one in fields(Project)})  # type: ignore[arg-type]
        return function(*args, project=project, **given)

    decorated: Callable[..., object] = wrapped
    for option in reversed(_options()):
        decorated = option(decorated)
    return decorated


def parse_platforms(given: tuple[str, ...]) -> tuple[wherry.Platform, ...]:
    """Platforms, many times or separated by commas. Raises :class:`UsageError`."""
    from wherry.image import Platform

    return tuple(Platform.parse(one) for text in given for one in text.split(","))


def _options() -> tuple[Callable[[Callable[..., object]], Callable[..., object]], ...]:
    option = click.option
    return (
        option("--base", metavar="IMAGE", help="The base image: debian://trixie, oci:DIR, a name in the store."),
        option("--python", metavar="VERSION", help="The Python version, such as 3.13."),
        option("--entrypoint", metavar="COMMAND", help="What the image starts."),
        option("--cmd", metavar="COMMAND", help="Default arguments of the entry point."),
        option("--env", "env", multiple=True, metavar="NAME=VALUE", help="A variable of the image; many times."),
        option("--workdir", metavar="DIR", help="Where the application's files go.  [default: /usr/src/app]"),
        option("--user", metavar="UID[:GID]", help="Who runs it.  [default: 65532:65532]"),
        option("--port", "ports", multiple=True, metavar="PORT[/udp]", help="A port it listens on; many times."),
        option("--package", "packages", multiple=True, metavar="NAME", help="A Debian package to add; many times."),
        option("--mirror", metavar="URL", help="The Debian mirror, in place of the one that apt uses."),
        option("--build-base", metavar="IMAGE", help="The image to compile in, in place of the base with a toolchain."),
        option(
            "--build-package",
            "build_packages",
            multiple=True,
            metavar="NAME",
            help="A Debian package that compiling needs; many times.",
        ),
        option(
            "--build-env",
            "build_env",
            multiple=True,
            metavar="NAME=VALUE",
            help="A variable of build backends; many times.",
        ),
        option(
            "-C",
            "--config-setting",
            "config_settings",
            multiple=True,
            metavar="[DIST:]KEY=VALUE",
            help="A setting of build backends, of all or of one distribution's; many times.",
        ),
        option(
            "--native-libs",
            type=click.Choice(["packages", "vendor"]),
            help="How the libraries of built wheels come along.  [default: packages]",
        ),
        option("--no-binary", multiple=True, metavar="DIST|:all:", help="Build it, whatever wheels there are."),
        option("--only-binary", multiple=True, metavar="DIST|:all:", help="Never build it."),
        option("-r", "--requirements", metavar="FILE", help="The file that says what to install."),
        option("--extra", "extras", multiple=True, metavar="NAME", help="An extra of the project to install."),
        option("--group", "groups", multiple=True, metavar="NAME", help="A dependency group to install."),
        option("--index-url", metavar="URL", help="The package index, in place of the default one."),
        option("--extra-index-url", "extra_index_urls", multiple=True, metavar="URL", help="A further package index."),
        option(
            "--find-links", "find_links", multiple=True, metavar="PATH|URL", help="A folder or page of distributions."
        ),
        option("--no-index", is_flag=True, help="Use --find-links alone."),
        option("--bytecode/--no-bytecode", default=None, help="Compile the distributions' bytecode.  [default: yes]"),
    )


_MEANT_FOR_BOTH = {"mirror", "index_url", "extra_index_urls", "find_links", "no_index"}
"""What a Dockerfile build passes over without a word: settings of places, which people keep in variables."""

_SINGULAR = {"config_settings": "config-setting", "build_packages": "build-package"}
_OPTIONS = {one.name: _SINGULAR.get(one.name, one.name.replace("_", "-")) for one in fields(Project)} | {
    "ports": "port",
    "packages": "package",
    "extras": "extra",
    "groups": "group",
}


def _base(text: str, context: Path) -> str:
    """A base as a Plan names it: a path given here starts at the current folder, one in a Plan at the context."""
    kind, _, rest = text.partition(":")
    if not names_path(text) or Path(rest).is_absolute():
        return text
    return f"{kind}:{Path(os.path.relpath(rest, context)).as_posix()}"


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    from wherry.frontends.python import config

    return tuple(config.distribution(name.strip()) for text in given for name in text.split(","))


def _settings(given: tuple[str, ...]) -> Settings:
    """``KEY=VALUE`` for all backends, ``DIST:KEY=VALUE`` for one; a key several times is a list."""
    from wherry.frontends.python import config

    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        name, colon, rest = key.partition(":")
        if not equals or not key or (colon and not rest):
            raise UsageError(f"--config-setting {text!r} should be KEY=VALUE or DIST:KEY=VALUE")
        place = (config.distribution(name), rest) if colon else ("", key)
        found[place] = (*found.get(place, ()), value)
    return tuple((name, key, values) for (name, key), values in found.items())
