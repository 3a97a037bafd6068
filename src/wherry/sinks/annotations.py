"""Annotations for a part of what is exported, as docker buildx names the parts.

``annotation[-LEVEL].NAME=VALUE`` in an output, or ``[LEVEL[,LEVEL…]:]NAME=VALUE`` after ``--annotation``. The levels
are ``manifest`` (the default), ``index``, and what names them: ``manifest-descriptor``, ``index-descriptor``; each
may have a ``[PLATFORM]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from wherry.errors import UsageError, did_you_mean
from wherry.image import Image, Index, Platform

Level = Literal["manifest", "index", "manifest-descriptor", "index-descriptor"]

_LEVELS: tuple[Level, ...] = ("manifest", "index", "manifest-descriptor", "index-descriptor")
_KEY = re.compile(r"(?P<kind>[^.\[]+)(?:\[(?P<platform>[^\]]*)\])?\.(?P<name>.+)", re.DOTALL)
_TYPES = re.compile(r"(?:(?P<levels>[a-z-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):)(?P<rest>.*)", re.DOTALL)
_TYPE = re.compile(r"(?P<level>[a-z-]+)(?:\[(?P<platform>[^\]]*)\])?")


@dataclass(frozen=True, slots=True)
class Annotation:
    """``name`` = ``value`` on the parts called ``level``, of one ``platform`` or of all."""

    name: str
    value: str
    level: Level = "manifest"
    platform: Platform | None = None


def annotation_of_key(key: str, value: str) -> Annotation:
    """An output's ``annotation[-LEVEL][[PLATFORM]].NAME`` key. Raises :class:`UsageError` if it is malformed."""
    match = _KEY.fullmatch(key)
    kind = match["kind"].lower() if match else ""
    if not match or (kind != "annotation" and not kind.startswith("annotation-")):
        raise UsageError(f"{key!r} is not an annotation", hint="Write annotation.NAME=VALUE.")
    level = _level(kind.removeprefix("annotation").removeprefix("-") or "manifest")
    return Annotation(match["name"], value, level, _platform(match["platform"]))


def parse_annotation(text: str) -> tuple[Annotation, ...]:
    """Read a ``--annotation``: one for each level that it names. Raises :class:`UsageError`."""
    head, equals, value = text.partition("=")
    types = _TYPES.fullmatch(head)
    name = types["rest"] if types else head
    if not equals or not name:
        raise UsageError(f"--annotation {text!r} should be NAME=VALUE", hint="Or LEVEL:NAME=VALUE.")
    if not types:
        return (Annotation(name, value),)
    return tuple(
        Annotation(name, value, _level(one["level"]), _platform(one["platform"]))
        for one in _TYPE.finditer(types["levels"])
    )


def annotate(image: Image | Index, annotations: Iterable[Annotation]) -> Image | Index:
    """``image`` with ``annotations``; another image, with another digest, if that changes a manifest.

    Raises :class:`UsageError` for an annotation of an index where there is none, or of a platform that is not built.
    """
    annotations = tuple(annotations)
    if not annotations:
        return image
    images = image.images if isinstance(image, Index) else (image,)
    for one in annotations:
        if one.platform and one.platform not in {part.config.platform for part in images}:
            raise UsageError(f"annotation {one.name!r} is for {one.platform}, which is not built")
        if one.level.startswith("index") and not isinstance(image, Index):
            raise UsageError(
                f"annotation {one.name!r} is for the index, and an image for one platform has none",
                hint="Put it on the manifest, or build for several platforms.",
            )
    done = tuple(_annotate_image(part, annotations) for part in images)
    if isinstance(image, Image):
        return done[0]
    index = {one.name: one.value for one in annotations if one.level == "index"}
    descriptor = {one.name: one.value for one in annotations if one.level == "index-descriptor"}
    return Index(
        done,
        {**image.annotations, **index},
        descriptor_annotations={**image.descriptor_annotations, **descriptor},
    )


def _annotate_image(image: Image, annotations: tuple[Annotation, ...]) -> Image:
    fitting = [one for one in annotations if one.platform in {None, image.config.platform}]
    manifest = {one.name: one.value for one in fitting if one.level == "manifest"}
    descriptor = {one.name: one.value for one in fitting if one.level == "manifest-descriptor"}
    if manifest:
        image = image.rewritten(annotations={**image.annotations, **manifest})
    if descriptor:
        image = replace(image, descriptor_annotations={**image.descriptor_annotations, **descriptor})
    return image


def _level(text: str) -> Level:
    for level in _LEVELS:
        if level == text:
            return level
    raise UsageError(f"there are no annotations of {text!r}", hint=did_you_mean(text, _LEVELS))


def _platform(text: str | None) -> Platform | None:
    return Platform.parse(text) if text else None
