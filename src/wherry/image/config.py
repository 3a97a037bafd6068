"""Image configuration (OCI image-spec, config.md): how a container starts, and how the image came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from wherry.image.digest import Digest, parse_digest
from wherry.image.json import Json, JsonObject, as_list, as_object, as_str, as_string_map, as_strings, dump, load_object
from wherry.image.platform import Platform


def timestamp(epoch: int) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, as image configs hold times."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """The ``config`` object: what a container runtime needs to start the image.

    ``other`` keeps the fields that we do not interpret (Healthcheck, Shell, OnBuild, …) as they were.
    """

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    other: Mapping[str, Json] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """``env`` as a mapping; a later entry wins."""
        return {name: value for name, _, value in (entry.partition("=") for entry in self.env)}

    def with_env(self, values: Mapping[str, str]) -> RuntimeConfig:
        """The same config with ``values`` set: known names keep their position, new ones follow."""
        merged = {**self.environment(), **values}
        return replace(self, env=tuple(f"{name}={value}" for name, value in merged.items()))

    def to_json(self) -> dict[str, Json]:
        """The JSON form; empty fields are left out, sets are sorted."""
        fields: dict[str, Json] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in sorted(self.exposed_ports)},
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "Volumes": {path: {} for path in sorted(self.volumes)},
            "WorkingDir": self.working_dir,
            "Labels": dict(sorted(self.labels.items())),
            "StopSignal": self.stop_signal,
        }
        return {name: value for name, value in {**fields, **self.other}.items() if value}

    @classmethod
    def from_json(cls, value: JsonObject) -> RuntimeConfig:
        """Read a ``config`` object."""
        known = {
            "User",
            "ExposedPorts",
            "Env",
            "Entrypoint",
            "Cmd",
            "Volumes",
            "WorkingDir",
            "Labels",
            "StopSignal",
        }
        return cls(
            user=as_str(value.get("User"), "config.User"),
            env=as_strings(value.get("Env"), "config.Env"),
            entrypoint=as_strings(value.get("Entrypoint"), "config.Entrypoint"),
            cmd=as_strings(value.get("Cmd"), "config.Cmd"),
            working_dir=as_str(value.get("WorkingDir"), "config.WorkingDir"),
            exposed_ports=tuple(as_object(value.get("ExposedPorts"), "config.ExposedPorts")),
            volumes=tuple(as_object(value.get("Volumes"), "config.Volumes")),
            labels=as_string_map(value.get("Labels"), "config.Labels"),
            stop_signal=as_str(value.get("StopSignal"), "config.StopSignal"),
            other={name: item for name, item in value.items() if name not in known},
        )


@dataclass(frozen=True, slots=True)
class History:
    """One line of an image's story: a step, and whether it made a layer."""

    created_by: str
    created: str = ""
    comment: str = ""
    empty_layer: bool = False

    def to_json(self) -> dict[str, Json]:
        """The JSON form."""
        fields: dict[str, Json] = {"created": self.created, "created_by": self.created_by, "comment": self.comment}
        value: dict[str, Json] = {name: item for name, item in fields.items() if item}
        if self.empty_layer:
            value["empty_layer"] = True
        return value

    @classmethod
    def from_json(cls, value: JsonObject) -> History:
        """Read one ``history`` object."""
        return cls(
            as_str(value.get("created_by"), "history.created_by"),
            as_str(value.get("created"), "history.created"),
            as_str(value.get("comment"), "history.comment"),
            value.get("empty_layer") is True,
        )


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The whole configuration: platform, runtime config, layers' diff IDs and history."""

    platform: Platform
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    author: str = ""

    def to_bytes(self) -> bytes:
        """The JSON text whose digest is the image ID."""
        value: dict[str, Json] = {"created": self.created, "author": self.author}
        value = {name: item for name, item in value.items() if item}
        value |= self.platform.to_json()
        value["config"] = self.runtime.to_json()
        value["rootfs"] = {"type": "layers", "diff_ids": list(self.diff_ids)}
        if self.history:
            value["history"] = [entry.to_json() for entry in self.history]
        return dump(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageConfig:
        """Read a configuration. Raises :class:`WherryError` if it is malformed."""
        value = load_object(data, "the image config")
        rootfs = as_object(value.get("rootfs"), "rootfs")
        history: Sequence[Json] = as_list(value.get("history"), "history")
        return cls(
            platform=Platform.from_json(value),
            runtime=RuntimeConfig.from_json(as_object(value.get("config"), "config")),
            diff_ids=tuple(parse_digest(text) for text in as_strings(rootfs.get("diff_ids"), "diff_ids")),
            history=tuple(History.from_json(as_object(entry, "history")) for entry in history),
            created=as_str(value.get("created"), "created"),
            author=as_str(value.get("author"), "author"),
        )
