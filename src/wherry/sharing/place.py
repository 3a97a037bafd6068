"""Where a shared cache is: ``type=registry,ref=…``, ``type=local,dest=…``, ``type=inline``, as docker buildx has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wherry.errors import UsageError, did_you_mean
from wherry.image import Digest, Reference
from wherry.image.digest import parse_digest

Kind = Literal["registry", "local", "inline"]
Mode = Literal["min", "max"]

_KEYS: Mapping[str, Mapping[str, frozenset[str]]] = {
    "--cache-to": {
        "registry": frozenset({"ref", "mode", "ignore-error", "image-manifest", "oci-mediatypes"}),
        "local": frozenset({"dest", "tag", "mode", "ignore-error", "image-manifest", "oci-mediatypes"}),
        "inline": frozenset({"mode", "ignore-error"}),
    },
    "--cache-from": {"registry": frozenset({"ref"}), "local": frozenset({"src", "tag", "digest"})},
}
_HINT = "Write type=registry,ref=NAME, or type=local,{path}=DIR."
_ALWAYS = frozenset({"image-manifest", "oci-mediatypes"})  # buildx asks; we write nothing else


@dataclass(frozen=True, slots=True)
class CachePlace:
    """One place of a shared cache.

    ``reference`` is that of a registry, ``folder`` an OCI image layout in which ``tag`` (or, to read, ``digest``) is
    the cache. ``mode`` ``max`` writes the layers of all stages, ``min`` those of the image alone. What cannot be
    written is no error if ``ignore_error``.
    """

    kind: Kind
    reference: Reference | None = None
    folder: Path = Path()
    tag: str = "latest"
    digest: Digest | None = None
    mode: Mode = "min"
    ignore_error: bool = False

    def __str__(self) -> str:
        if self.kind == "registry":
            return str(self.reference and self.reference.familiar)
        return str(self.folder) if self.kind == "local" else "the image"


def parse_cache_to(text: str) -> CachePlace:
    """Read ``--cache-to``. Raises :class:`UsageError`."""
    return _parse(text, "--cache-to")


def parse_cache_from(text: str) -> CachePlace:
    """Read ``--cache-from``; a bare NAME is ``type=registry,ref=NAME``. Raises :class:`UsageError`."""
    return _parse(text, "--cache-from")


def _parse(text: str, option: str) -> CachePlace:
    if "=" not in text:
        return CachePlace("registry", _reference(text, option))
    path = "dest" if option == "--cache-to" else "src"
    hint = _HINT.format(path=path)
    kind, values = _fields(text, option, hint)
    ignore_error = _bool(option, "ignore-error", values.get("ignore-error", "false"))
    mode = _mode(option, kind, values.get("mode", "min"))
    if kind == "inline":
        return CachePlace("inline", ignore_error=ignore_error)
    where = values.get("ref" if kind == "registry" else path, "")
    if not where:
        raise UsageError(f"{option} {text!r} has no {'ref' if kind == 'registry' else path}", hint=hint)
    if kind == "registry":
        return CachePlace("registry", _reference(where, option), mode=mode, ignore_error=ignore_error)
    return CachePlace(
        "local",
        folder=Path(where).absolute(),
        tag=values.get("tag", "latest"),
        digest=parse_digest(values["digest"]) if "digest" in values else None,
        mode=mode,
        ignore_error=ignore_error,
    )


def _fields(text: str, option: str, hint: str) -> tuple[str, Mapping[str, str]]:
    """The type that is named, and the other values."""
    import csv

    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise UsageError(f"{option} {text!r} cannot be read", hint=hint) from None
    values: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"{option} {text!r}: {field!r} should be key=value", hint=hint)
        values[key.strip().lower()] = value
    kind = values.pop("type", "")
    known = _KEYS[option]
    if kind not in known:
        what = f"unknown type {kind!r}" if kind else "no type"
        more = " An inline cache is read by type=registry,ref=IMAGE." if kind == "inline" else ""
        raise UsageError(f"{option} {text!r}: {what}", hint=hint + more)
    for key, value in values.items():
        if key not in known[kind]:
            raise UsageError(f"{option}: type={kind} has no {key!r}", hint=did_you_mean(key, known[kind] | {"type"}))
        if key in _ALWAYS and not _bool(option, key, value):
            raise UsageError(f"{option}: {key}=false: Wherry writes OCI manifests alone")
    return kind, values


def _mode(option: str, kind: str, text: str) -> Mode:
    if text == "max" and kind != "inline":
        return "max"
    if text != "min":
        known = "min" if kind == "inline" else "min or max"
        raise UsageError(f"{option}: mode={text}: type={kind} has {known}")
    return "min"


def _reference(text: str, option: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest and option == "--cache-to":
        raise UsageError(f"{option}: cannot write to {text!r}: it has a digest", hint="Give a name and a tag.")
    return reference


def _bool(option: str, key: str, value: str) -> bool:
    if value.lower() in {"1", "t", "true"}:
        return True
    if value.lower() in {"0", "f", "false"}:
        return False
    raise UsageError(f"{option}: {key}={value!r} is neither true nor false")
