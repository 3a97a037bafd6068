"""Whether the wheels of an environment get in each other's way.

Two wheels may install the same file with the same content, as some namespace packages do. With different content one
would overwrite the other, and which one wins would hang on the order: that is an error. Each wheel's layer holds all
of its files either way, so a layer never depends on what else is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.image import digest_of
from wherry.image.json import Json, as_object, as_string_map, dump
from wherry.layers.entry import parents
from wherry.store import Store
from wherry.wheels.distribution import Distribution
from wherry.wheels.environment import Environment
from wherry.wheels.identity import CONFLICTS

if TYPE_CHECKING:
    from wherry.wheels.destination import LayerDestination

Claims = Mapping[str, str]
"""What a wheel installs: path from the image's root to the content's hash, as RECORD writes it."""

_HINT = "An environment can hold only one of them: leave one out, or ask their authors."


class Owners:
    """Who installs which file."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[str, str]] = {}

    def add(self, name: str, claims: Claims) -> None:
        """Let ``name`` install ``claims``. Raises :class:`WherryError` if that would overwrite another's file."""
        for path, content in claims.items():
            owner, known = self._owners.setdefault(path, (name, content))
            if known != content:
                raise WherryError(f"{owner} and {name} both install /{path}, with different content", hint=_HINT)

    def check(self) -> None:
        """Raise :class:`WherryError` if a file lies where another distribution needs a folder."""
        folders: dict[str, str] = {}
        for path, (name, _) in self._owners.items():
            above = path.rpartition("/")[0]
            if above not in folders:
                folders |= dict.fromkeys(parents(path), name)
        for path in sorted(folders.keys() & self._owners.keys()):
            raise WherryError(
                f"{self._owners[path][0]} installs /{path} as a file, {folders[path]} as a folder", hint=_HINT
            )


def check_conflicts(
    distributions: Iterable[Distribution],
    environment: Environment,
    *,
    store: Store,
    wheel: Callable[[Distribution], Path],
) -> None:
    """Raise :class:`WherryError` if two of ``distributions`` install different files at one path; it names all three.

    The answer is remembered for the whole set, and for each wheel what it installs (:func:`~wherry.wheels.install.pack`
    remembers that too), so a wheel that was packed once need not be here; for one that was not, ``wheel`` is asked.
    """
    distributions = sorted(distributions, key=lambda one: one.name)
    parts: Json = [claims_key(one, environment) for one in distributions]
    key = f"no conflicts {digest_of(dump(parts))}"
    if store.cache.get(key) is not None:
        return
    owners = Owners()
    for distribution in distributions:
        owners.add(distribution.name, _claims(distribution, environment, store, wheel))
    owners.check()
    store.cache.put(key, {})


def remember_claims(destination: LayerDestination, environment: Environment, store: Store) -> Claims:
    """Keep what a wheel installs for :func:`check_conflicts`."""
    claims = {path: file.hash for path, file in destination.files.items()}
    store.cache.put(claims_key(destination.wheel.wanted, environment), {"files": claims})
    return claims


def _claims(
    distribution: Distribution, environment: Environment, store: Store, wheel: Callable[[Distribution], Path]
) -> Claims:
    key = claims_key(distribution, environment)
    if (value := store.cache.get(key)) is not None:
        return as_string_map(as_object(value["files"], key), key)
    from wherry.wheels.destination import installed
    from wherry.wheels.wheelfile import WheelFile

    with WheelFile.open(wheel(distribution), distribution) as source:
        return remember_claims(installed(source, environment), environment, store)


def claims_key(distribution: Distribution, environment: Environment) -> str:
    """The name under which it is remembered what a wheel installs."""
    wheel = ":".join(distribution.wheel.key)
    parts: Json = [
        CONFLICTS,
        distribution.name,
        wheel,
        distribution.direct_url,
        environment.prefix,
        environment.interpreter.minor,
    ]
    return f"claims {digest_of(dump(parts))}"
