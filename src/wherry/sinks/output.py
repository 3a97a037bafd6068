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

Kind = Literal["oci", "docker", "local", "tar", "image", "registry", "cacheonly"]

STDOUT = "-"

_IMAGE_KEYS = frozenset({"name", "compression", "compression-level", "force-compression", "oci-mediatypes"})
_KEYS: Mapping[Kind, frozenset[str]] = {
    "oci": _IMAGE_KEYS | {"dest", "tar"},
    "docker": _IMAGE_KEYS | {"dest", "tar"},
    "local": frozenset({"dest", "platform-split"}),
    "tar": frozenset({"dest", "platform-split"}),
    "image": _IMAGE_KEYS | {"push", "push-by-digest"},
    "registry": _IMAGE_KEYS | {"push-by-digest"},
    "cacheonly": frozenset(),
}
_ALL_KEYS = frozenset({"type"}).union(*_KEYS.values())
_ANNOTATED: frozenset[Kind] = frozenset({"oci", "docker", "image", "registry"})
_TRUE = {"1", "t", "true"}
_FALSE = {"0", "f", "false"}


@dataclass(frozen=True, slots=True)
class Output:
    """One place that an image goes to.

    ``dest`` is a path or ``-`` for standard output; empty, a ``docker`` output is loaded into the daemon and an
    ``image`` output kept in the store. ``tar`` false makes an ``oci`` output a directory. ``compression`` changes
    layers that are compressed otherwise, all of them if ``force_compression``. ``split`` puts each platform of
    a root filesystem into a folder of its own; None: if there are several. ``push`` sends an image to the registries
    that its names say; ``by_digest`` without any tag.
    """

    kind: Kind
    dest: str = ""
    names: tuple[str, ...] = ()
    tar: bool = True
    compression: Compression | None = None
    force_compression: bool = False
    annotations: tuple[Annotation, ...] = ()
    split: bool | None = None
    push: bool = False
    by_digest: bool = False

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


_HINT = "Write it as type=oci,dest=FILE with a type of oci, docker, local, tar, image or registry."


def _kind(name: str, text: str) -> Kind:
    if not name:
        raise UsageError(f"output {text!r} has no type", hint=_HINT)
    for kind in _KEYS:
        if kind == name:
            return kind
    raise UsageError(f"unknown output type {name!r}", hint=did_you_mean(name, _KEYS))


def _output(kind: Kind, values: Mapping[str, str], text: str) -> Output:
    from wherry.sinks.annotations import annotation_of_key

    annotations = []
    for key, value in values.items():
        if key.lower().startswith("annotation") and kind in _ANNOTATED:
            annotations.append(annotation_of_key(key, value))
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
    push = kind == "registry" or _bool("push", values.get("push", "false"))
    by_digest = _bool("push-by-digest", values.get("push-by-digest", "false"))
    if by_digest and not push:
        raise UsageError("push-by-digest=true: nothing is pushed", hint="Write push=true beside it, or type=registry.")
    return Output(
        kind,
        dest=values.get("dest", ""),
        names=names,
        tar=tar,
        compression=_compression(values),
        force_compression=_bool("force-compression", values.get("force-compression", "false")),
        annotations=tuple(annotations),
        split=_bool("platform-split", values["platform-split"]) if "platform-split" in values else None,
        push=push,
        by_digest=by_digest,
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


def pushed(output: Output, names: Sequence[str]) -> tuple[Reference, ...]:
    """Where an output that is pushed goes: to its own names, or else to ``names``, those of the image.

    By digest it goes to repositories: references without a tag. Raises :class:`UsageError` for names that do not do.
    """
    names = output.names if output.by_digest else output.names or names
    form = "name=HOST/NAME" if output.by_digest else "-t HOST/NAME:TAG"
    if not names:
        raise UsageError(
            f"type={output.kind}: the image has no name to be pushed to", hint=f"Say where it goes: {form}."
        )
    found = []
    for name in names:
        reference = Reference.parse(name)
        tagged = ":" in name.rpartition("/")[2]
        if reference.digest or (tagged and output.by_digest):
            what = "digest" if reference.digest else "tag, and is to be pushed by digest"
            raise UsageError(f"cannot push to {name!r}: it has a {what}", hint=f"Say where it goes: {form}.")
        found.append(replace(reference, tag="") if output.by_digest else reference)
    return tuple(found)


def check_outputs(
    outputs: Sequence[Output], platforms: Sequence[Platform] = (), names: Sequence[str] = (), *, offline: bool = False
) -> None:
    """Find out before the build what cannot work after it.

    Raises :class:`UsageError` for a terminal as an archive, two outputs to standard output or to one file, a
    directory where a file goes or the other way round, several platforms for ``type=docker``, and a push that ``names``
    and the output's own do not say the place of, or that there is no network for.
    """
    taken: set[str] = set()
    for output in outputs:
        what = f"type={output.kind},dest={output.dest}"
        if output.kind == "docker" and len(platforms) > 1:
            raise UsageError(
                f"type=docker holds one platform, not {', '.join(map(str, platforms))}",
                hint="Write type=oci for several platforms, or choose one with --platform.",
            )
        if output.push:
            pushed(output, names)
            if offline:
                raise UsageError("a push needs the network, and --offline allows none")
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
