"""The image that a stage starts from, and what is known of its content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wherry.errors import UsageError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Image, Platform
from wherry.pins import RENEW, ImageWish, Ledger
from wherry.plan import Base
from wherry.registry.registries import Registries
from wherry.solve.work import Options, Work
from wherry.sources import open_source
from wherry.sources.base import Facts, is_debian, names_path
from wherry.store import Store

_NAMED = "docker-image://"


def base_image(base: Base, platform: Platform, work: Work, task: Task) -> Image:
    """The image of ``base`` for its own platform or else ``platform``, in the store."""
    asked = replace(base, platform=base.platform or platform)
    image = work.images.get(asked) or open_image(
        base,
        platform,
        context=work.context,
        store=work.store,
        fetcher=work.fetcher,
        registries=work.registries,
        options=work.options,
        epoch=work.plan.epoch,
        task=task,
        pins=work.pins,
    )
    work.bases[asked] = image
    return image


def open_image(
    base: Base,
    platform: Platform,
    *,
    context: Path,
    store: Store,
    fetcher: Fetcher,
    registries: Registries,
    options: Options,
    epoch: int,
    task: Task,
    pins: Ledger | None = None,
) -> Image:
    """The image that ``base`` names, as :func:`base_image` gives it, where there is no Plan yet.

    Raises :class:`~wherry.errors.WherryError` if it cannot be had.
    """
    pins = pins or Ledger()
    name = base.source
    wanted = base.platform or platform
    wish = ImageWish(name, str(wanted))
    pinned = None
    kind, _, context_name = name.partition(":")
    if kind == "context" and context_name in options.contexts:
        from wherry.sources.named import resolve_named

        name = resolve_named(options.contexts[context_name], context_name).source
    elif names_path(name):
        kind, _, path = name.partition(":")
        name = f"{kind}:{context / path}"
        pinned = pins.images.find(wish)
    elif is_debian(name):
        pins.floats(name)
    elif _floats(name):
        pins.floats(name)
        if (pinned := pins.images.find(wish)) is not None:
            name = f"{name.removeprefix(_NAMED)}@{pinned}"
    source = open_source(
        name,
        store=store,
        fetcher=fetcher,
        registries=registries,
        python=base.python,
        mirror=base.mirror,
        pull="never" if options.offline else options.pull,
        refresh=options.pull == "always" or options.no_cache,
        compression=options.compression,
        epoch=epoch,
        pins=pins,
    )
    image = source.image(wanted, task)
    if names_path(base.source):
        if pinned is not None and pinned != image.id and not pins.locking:
            raise UsageError(f"{base.source} is another image than the one that wherry.lock was made with", hint=RENEW)
        pins.images.note(wish, image.id)
    elif pinned is None and pins.locking and _floats(base.source):
        from wherry.sources.registry import pinned as digest

        pins.images.note(wish, digest(base.source.removeprefix(_NAMED), wanted, image, store))
    return image


def _floats(name: str) -> bool:
    """Whether ``name`` is one of the store or a registry that may mean another image another day."""
    name = name.removeprefix(_NAMED)
    return name != "scratch" and not any((is_debian(name), names_path(name), "://" in name, "@" in name))


def facts_of(image: Image, work: Work) -> Facts:
    """What is known of the content of ``image``."""
    from wherry.sources.inspect import inspect

    return inspect(image, work.store)
