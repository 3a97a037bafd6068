"""The image that a stage starts from, and what is known of its content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.image import Image, Platform
from wherry.plan import Base
from wherry.registry.registries import Registries
from wherry.solve.work import Options, Work
from wherry.sources import open_source
from wherry.sources.base import Facts, names_path
from wherry.store import Store


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
) -> Image:
    """The image that ``base`` names, as :func:`base_image` gives it, where there is no Plan yet.

    Raises :class:`~wherry.errors.WherryError` if it cannot be had.
    """
    name = base.source
    kind, _, context_name = name.partition(":")
    if kind == "context" and context_name in options.contexts:
        from wherry.sources.named import resolve_named

        name = resolve_named(options.contexts[context_name], context_name).source
    elif names_path(name):
        kind, _, path = name.partition(":")
        name = f"{kind}:{context / path}"
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
    )
    return source.image(base.platform or platform, task)


def facts_of(image: Image, work: Work) -> Facts:
    """What is known of the content of ``image``."""
    from wherry.sources.inspect import inspect

    return inspect(image, work.store)
