"""``debian://SUITE``: a base assembled from Debian's packages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wherry.debian.base import Assembled, Recipe, Workshop
from wherry.errors import UsageError
from wherry.events import Task
from wherry.image import History, Image, ImageConfig, Layer, Platform, RuntimeConfig
from wherry.image.config import timestamp
from wherry.sources.base import Facts
from wherry.sources.inspect import remember
from wherry.target import Interpreter, Libc

if TYPE_CHECKING:
    from wherry.debian.archive import Archive

_ENV = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    # Libraries that bring their own OpenSSL look elsewhere without it.
    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
)


class DebianSource:
    """A Debian base. ``python`` is a version or specifier set that its Python must satisfy, or empty."""

    def __init__(self, recipe: Recipe, workshop: Workshop, python: str = "") -> None:
        self.recipe = recipe
        self.workshop = workshop
        self.python = python

    def image(self, platform: Platform, task: Task) -> Image:
        """The base for ``platform``: assembled once, then remembered until a refresh.

        Raises :class:`~wherry.errors.WherryError` if the archive cannot be had or trusted, or lacks what is wanted.
        """
        made = self.workshop.assemble(self.recipe, self.python, platform, task)
        created = timestamp(self.workshop.epoch)
        config = ImageConfig(
            platform,
            RuntimeConfig(env=_ENV, cmd=("python3",)),
            history=tuple(History(title, created) for title in made.titles),
            created=created,
        )
        image = Image.of(config, made.layers, {})
        for remark in made.remarks:
            task.note(remark)
        if facts := _facts(made):
            remember(image, facts, self.workshop.store)
        return image


def _facts(made: Assembled) -> Facts | None:
    """What the base holds, without a look; None if that takes one: what was included may hold further interpreters."""
    libc = made.libc.split(".")[:2]
    if len(made.layers) > 1 or len(libc) < 2 or not all(number.isdigit() for number in libc):
        return None
    minor = ".".join(made.python.split(".")[:2])
    interpreter = Interpreter(made.python, f"/usr/bin/python{minor}")
    return Facts(Libc("glibc", int(libc[0]), int(libc[1])), (interpreter,))


def archive_of(image: Image, workshop: Workshop) -> Archive | None:
    """The archive that ``image`` was made from, if it is Debian's.

    Raises :class:`~wherry.errors.WherryError` if it cannot be had.
    """
    from wherry.sources.facts import TELLING, os_release
    from wherry.sources.files import files

    release = os_release(files(image, workshop.store, TELLING))
    suite = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not suite:
        return None
    return workshop.archive(suite, image.config.platform)


def add_packages(
    image: Image, names: Sequence[str], workshop: Workshop, task: Task, *, suite: str = ""
) -> tuple[Layer, str] | None:
    """A layer of Debian packages, with all they need that ``image`` does not have, and what it is in words.

    ``suite`` is that of the image if it is not given. None if nothing is missing. Raises :class:`UsageError` if the
    image is not Debian's or a name is unknown, :class:`~wherry.errors.WherryError` as assembling does.
    """
    from wherry.debian import ldcache
    from wherry.debian.package import Package, paragraph
    from wherry.sources.facts import TELLING, dpkg_stanzas, os_release
    from wherry.sources.files import files

    found = files(image, workshop.store, f"{TELLING}|{ldcache.FILES}")
    stanzas = list(dpkg_stanzas(found))
    release = os_release(found)
    if not stanzas or release.get("ID") != "debian":
        raise UsageError(
            f"the base is not made of Debian packages, so {', '.join(names)} cannot be added",
            hint="Choose a base such as debian://trixie, or one that holds them already.",
        )
    suite = suite or release.get("VERSION_CODENAME", "")
    if not suite:
        raise UsageError("the base does not say which Debian it is", hint="Choose a base such as debian://trixie.")
    installed = [Package.parse(paragraph(stanza)) for stanza in stanzas]
    below = {path: data for path, data in found.data.items() if re.fullmatch(ldcache.FILES, path)}
    return workshop.extend(names, suite, image.config.platform, installed, task, below)
