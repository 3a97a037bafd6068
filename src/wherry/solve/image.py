"""The image that a stage starts from, and what is known of its content."""

from __future__ import annotations

from wherry.events import Task
from wherry.image import Image, Platform
from wherry.plan import Base
from wherry.solve.work import Work
from wherry.sources import open_source
from wherry.sources.base import Facts, names_path
from wherry.sources.inspect import inspect


def base_image(base: Base, platform: Platform, work: Work, task: Task) -> tuple[Image, Facts]:
    """The image of ``base`` for ``platform``, in the store, and what is known of it."""
    name = base.source
    if names_path(name):
        kind, _, path = name.partition(":")
        name = f"{kind}:{work.context / path}"
    source = open_source(
        name,
        store=work.store,
        fetcher=work.fetcher,
        python=base.python,
        mirror=base.mirror,
        refresh=work.options.pull or work.options.no_cache,
        compression=work.options.compression,
        epoch=work.plan.epoch,
    )
    image = source.image(platform, task)
    return image, inspect(image, work.store)
