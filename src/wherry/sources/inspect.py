"""What a project build must know of a base image, read once and then remembered.

This is asked in every build, so how it is read lies elsewhere: :mod:`~wherry.sources.facts`.
"""

from __future__ import annotations

from hashlib import sha256

from wherry.image import Image
from wherry.image.json import JsonObject, as_int, as_list, as_object, as_str
from wherry.sources.base import Facts
from wherry.store import Store
from wherry.target import Interpreter, Libc

_FORMAT = 2


def inspect(image: Image, store: Store) -> Facts:
    """The C library and the interpreters of ``image``; remembered by its layers and search path.

    Interpreters come in the order of PATH, in a folder the one that ``python3`` means first. Raises
    :class:`~wherry.errors.WherryError` if a layer is damaged.
    """
    key = _key(image)
    if value := store.cache.get(key):
        return _from_json(value)
    from wherry.sources.facts import TELLING, read_facts
    from wherry.sources.files import files

    facts = read_facts(files(image, store, TELLING), image, store)
    remember(image, facts, store)
    return facts


def remember(image: Image, facts: Facts, store: Store) -> None:
    """Keep ``facts`` as what :func:`inspect` will say of ``image``: for those who made it and know."""
    if store.cache.get(_key(image)):
        return
    libc = facts.libc
    store.cache.put(
        _key(image),
        {
            "libc": {"family": libc.family, "major": libc.major, "minor": libc.minor} if libc else None,
            "interpreters": [{"version": one.version, "executable": one.executable} for one in facts.interpreters],
        },
    )


def _key(image: Image) -> str:
    environment = image.config.runtime.environment()
    # By the blobs, whose digests were checked: what a foreign config says of its layers' diff IDs, nobody has checked.
    layers = tuple(layer.descriptor.digest for layer in image.layers)
    parts = (_FORMAT, layers, environment.get("PATH", ""), environment.get("PYTHON_VERSION", ""))
    return "facts:" + sha256(repr(parts).encode()).hexdigest()


def _from_json(value: JsonObject) -> Facts:
    what = "cached facts"
    libc = as_object(value.get("libc"), what)
    family = as_str(libc.get("family"), what)
    interpreters = [as_object(item, what) for item in as_list(value.get("interpreters"), what)]
    return Facts(
        Libc("musl" if family == "musl" else "glibc", as_int(libc.get("major"), what), as_int(libc.get("minor"), what))
        if libc
        else None,
        tuple(
            Interpreter(as_str(one.get("version"), what), as_str(one.get("executable"), what)) for one in interpreters
        ),
    )
