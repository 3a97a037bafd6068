"""What ``-o`` says: ``type=oci,dest=app.tar,name=…`` in the words of docker buildx."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wherry.errors import UsageError, did_you_mean
from wherry.image import Platform, Reference
from wherry.layers.compression import Compression

if TYPE_CHECKING:
    from wherry.sinks.annotations import Annotation

Kind = Literal["oci", "docker", "local", "tar", "image", "cacheonly"]

STDOUT = "-"

_IMAGE_KEYS = frozenset({"name", "compression", "compression-level", "force-compression", "oci-mediatypes"})
_KEYS: Mapping[Kind, frozenset[str]] = {
    "oci": _IMAGE_KEYS | {"dest", "tar"},
    "docker": _IMAGE_KEYS | {"dest", "tar"},
    "local": frozenset({"dest", "platform-split"}),
    "tar": frozenset({"dest", "platform-split"}),
    "image": _IMAGE_KEYS,
    "cacheonly": frozenset(),
}
_ALL_KEYS = frozenset({"type"}).union(*_KEYS.values())
_ANNOTATED: frozenset[Kind] = frozenset({"oci", "docker", "image"})
_TRUE = {"1", "t", "true"}
_FALSE = {"0", "f", "false"}


@dataclass(frozen=True, slots=True)
class Output:
    """One place that an image goes to.

    ``dest`` is a path or ``-`` for standard output; empty, a ``docker`` output is loaded into the daemon and an
    ``image`` output kept in the store. ``tar`` false makes an ``oci`` output a directory. ``compression`` changes
    layers that are compressed otherwise, all of them if ``force_compression``. ``split`` puts each platform of
    a root filesystem into a folder of its own; None: if there are several.
    """

    kind: Kind
    dest: str = ""
    names: tuple[str, ...] = ()
    tar: bool = True
    compression: Compression | None = None
    force_compression: bool = False
    annotations: tuple[Annotation, ...] = ()
    split: bool | None = None

    @property
    def is_directory(self) -> bool:
        """Whether ``dest`` is a directory."""
        return self.kind == "local" or (self.kind == "oci" and not self.tar)


def parse_output(text: str) -> Output:
    """Read an output: comma-separated ``key=value`` pairs, quoted as in CSV where a value holds a comma.

    A bare path is ``type=local,dest=PATH``, a bare ``-`` is ``type=tar,dest=-``. Raises :class:`UsageError`.
    """
    import csv

    if not text.strip():
        raise UsageError("the output is empty", hint=_HINT)
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise UsageError(f"output {text!r}: {error}", hint='Quote a value as in CSV: "name=one,two".') from None
    if fields == [text] and text.partition("=")[0].lower() not in _ALL_KEYS:
        return Output("tar", STDOUT) if text == STDOUT else Output("local", text)
    values: dict[str, str] = {}
    for item in fields:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals:
            raise UsageError(f"output {text!r}: {item!r} should be key=value", hint=_HINT)
        # An annotation's name keeps its case, the words before it do not matter.
        values[key if key.lower().startswith("annotation") else key.lower()] = value
    kind = _kind(values.pop("type", ""), text)
    output = _output(kind, values, text)
    if output.is_directory and output.dest in {"", STDOUT}:
        raise UsageError(f"output {text!r} needs a directory", hint="Name it: dest=DIR.")
    if not output.dest and kind in {"oci", "tar"}:
        return replace(output, dest=STDOUT)
    return output


_HINT = "Write it as type=oci,dest=FILE with a type of oci, docker, local, tar or image."


def _kind(name: str, text: str) -> Kind:
    if not name:
        raise UsageError(f"output {text!r} has no type", hint=_HINT)
    for kind in _KEYS:
        if kind == name:
            return kind
    if name == "registry":
        raise UsageError("type=registry cannot be written so yet", hint="Write --push and -t NAME.")
    raise UsageError(f"unknown output type {name!r}", hint=did_you_mean(name, _KEYS))


def _output(kind: Kind, values: Mapping[str, str], text: str) -> Output:
    from wherry.sinks.annotations import annotation_of_key

    annotations = []
    for key, value in values.items():
        if key.lower().startswith("annotation") and kind in _ANNOTATED:
            annotations.append(annotation_of_key(key, value))
        elif key in {"push", "push-by-digest"} and kind == "image":
            if _bool(key, value):
                raise UsageError(f"{key}=true cannot be written so yet", hint="Write --push and -t NAME.")
        elif key not in _KEYS[kind]:
            known = _KEYS[kind] | ({"annotation.NAME"} if kind in _ANNOTATED else set()) | {"type"}
            raise UsageError(f"output {text!r}: type={kind} has no {key!r}", hint=did_you_mean(key, known))
    if not _bool("oci-mediatypes", values.get("oci-mediatypes", "true")):
        raise UsageError("oci-mediatypes=false: Wherry writes OCI media types", hint="Every current engine reads them.")
    tar = _bool("tar", values.get("tar", "true"))
    if kind == "docker" and not tar:
        raise UsageError("type=docker writes an archive", hint="For a directory, write type=oci,tar=false,dest=DIR.")
    names = tuple(name.strip() for name in values.get("name", "").split(",") if name.strip())
    for name in names:
        Reference.parse(name)
    return Output(
        kind,
        dest=values.get("dest", ""),
        names=names,
        tar=tar,
        compression=_compression(values),
        force_compression=_bool("force-compression", values.get("force-compression", "false")),
        annotations=tuple(annotations),
        split=_bool("platform-split", values["platform-split"]) if "platform-split" in values else None,
    )


def _compression(values: Mapping[str, str]) -> Compression | None:
    level = values.get("compression-level")
    if level is not None and not level.isdecimal():
        raise UsageError(f"compression-level={level!r} is not a number")
    name = values.get("compression")
    if name is None:
        if level is None and not _bool("force-compression", values.get("force-compression", "false")):
            return None
        name = "gzip"
    return Compression.of(name, int(level) if level is not None else None)


def _bool(key: str, value: str) -> bool:
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise UsageError(f"{key}={value!r} is neither true nor false")


def check_outputs(outputs: Sequence[Output], platforms: Sequence[Platform] = ()) -> None:
    """Find out before the build what cannot work after it.

    Raises :class:`UsageError` for a terminal as an archive, two outputs to standard output or to one file, a
    directory where a file goes or the other way round, and several platforms for ``type=docker``.
    """
    taken: set[str] = set()
    for output in outputs:
        what = f"type={output.kind},dest={output.dest}"
        if output.kind == "docker" and len(platforms) > 1:
            raise UsageError(
                f"type=docker holds one platform, not {', '.join(map(str, platforms))}",
                hint="Write type=oci for several platforms, or choose one with --platform.",
            )
        if not output.dest:
            continue
        place = output.dest if output.dest == STDOUT else os.path.realpath(output.dest)
        if place in taken:
            raise UsageError(f"two outputs write to {'standard output' if place == STDOUT else output.dest}")
        taken.add(place)
        if output.dest == STDOUT:
            if sys.stdout is not None and sys.stdout.isatty():
                raise UsageError(
                    f"{what} would write an archive to the terminal", hint="Name a file with dest=FILE, or pipe it."
                )
        elif output.is_directory:
            if Path(output.dest).exists() and not Path(output.dest).is_dir():
                raise UsageError(f"{what}: {output.dest} is a file", hint="Name a directory.")
        elif Path(output.dest).is_dir():
            raise UsageError(f"{what}: {output.dest} is a directory", hint="Name a file.")
