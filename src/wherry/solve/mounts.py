"""RUN --mount: what a command is shown beside the files of its stage, and none of which enters a layer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from wherry.errors import UsageError, did_you_mean
from wherry.events import Task
from wherry.image.json import Json
from wherry.plan import Run, RunMount, to_json
from wherry.sandbox import File, Mount
from wherry.solve.caches import cache_mount, use_caches
from wherry.solve.snapshot import Snapshot
from wherry.solve.work import Work

CERTIFICATES = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
)
"""The variables that name a bundle of certificates to the clients that RUN uses."""

_HOST_CERTS = "/run/wherry/certificates.pem"
_APT = "/run/wherry/apt.conf"
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the mounts of a RUN come to: mounts, small files by path, and variables."""

    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, File] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


def mounts_key(step: Run, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Json:
    """The mounts of ``step`` as part of its cache key: what they mean, and the content of what is bound.

    Neither what a cache holds nor a secret counts.
    """
    return [[to_json(replace(mount, origin=None)), _origin_key(mount, work, task, stages)] for mount in step.mounts]


def _origin_key(mount: RunMount, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Json:
    if mount.origin is None:
        return None
    from wherry.solve.copy.mounts import content_key

    return content_key(mount.origin, mount.source, work, task, stages)


@contextmanager
def shown(step: Run, work: Work, task: Task, stages: Mapping[str, Snapshot]) -> Iterator[Shown]:
    """The mounts of ``step``, good within the block. Raises :class:`UsageError` for a secret that is not given."""
    with ExitStack() as held:
        mounts: list[Mount] = []
        files: dict[str, File] = {}
        env: dict[str, str] = {}
        if work.options.run.host_certs:
            shown_certificates = certificates()
            files |= shown_certificates.files
            env |= shown_certificates.env
        agents = 0
        caches = use_caches(step, work, held)
        for path, content in step.files:
            files[path] = File(content.encode("utf-8", "surrogateescape"), 0o555)
        for mount in step.mounts:
            match mount.type:
                case "tmpfs":
                    mounts.append(Mount.tmpfs(mount.target, size=mount.size))
                case "secret":
                    _show_secret(mount, work, files, env)
                case "ssh":
                    socket = work.options.run.ssh.get(mount.id)
                    target = mount.target or f"/run/buildkit/ssh_agent.{agents}"
                    agents += 1
                    env.setdefault("SSH_AUTH_SOCK", target)  # in any case, as BuildKit does
                    if socket is not None:
                        mounts.append(Mount(socket, target))
                    elif mount.required:
                        raise _missing("ssh socket", mount.id, "--ssh", work.options.run.ssh)
                case "cache":
                    mounts.append(cache_mount(mount, caches, work, task, stages))
                case "bind":
                    mounts.append(_bind(mount, work, task, stages, held))
        yield Shown(tuple(mounts), files, env)


def _show_secret(mount: RunMount, work: Work, files: dict[str, File], env: dict[str, str]) -> None:
    secret = work.options.run.secrets.get(mount.id)
    if secret is None:
        if mount.required:
            raise _missing("secret", mount.id, "--secret", work.options.run.secrets)
        return
    value = secret.read(mount.id)
    if mount.env:
        env[mount.env] = value.decode("utf-8", "surrogateescape")
    if mount.target:
        files[mount.target] = File(value, mount.mode, mount.uid, mount.gid)


def _missing(what: str, name: str, option: str, known: Mapping[str, object]) -> UsageError:
    hint = f"Give it with {option} id={name},…" if option == "--secret" else f"Give it with {option} {name}."
    if known:
        hint += f" {did_you_mean(name, known)}"
    return UsageError(f"{what} {name!r} is required and was not given", hint=hint)


def certificates() -> Shown:
    """This machine's bundle, read-only, with the variables that name it to the usual clients.

    Raises :class:`UsageError` if there is none.
    """
    named = [os.environ[name] for name in CERTIFICATES if os.environ.get(name)]
    bundle = next((path for path in (*named, *_BUNDLES) if Path(path).is_file()), None)
    if bundle is None:
        raise UsageError("--host-certs: this machine has no bundle of certificates", hint="Name one in SSL_CERT_FILE.")
    files = {
        _HOST_CERTS: File(Path(bundle).read_bytes(), 0o444),
        _APT: File(f'Acquire::https::CaInfo "{_HOST_CERTS}";\n'.encode(), 0o444),
    }
    return Shown((), files, {**dict.fromkeys(CERTIFICATES, _HOST_CERTS), "APT_CONFIG": _APT})


def _bind(mount: RunMount, work: Work, task: Task, stages: Mapping[str, Snapshot], held: ExitStack) -> Mount:
    """Files of the context, a stage or an image; what is written over them is thrown away."""
    from wherry.solve.copy.mounts import shown_path

    assert mount.origin is not None
    path = held.enter_context(shown_path(mount.origin, mount.source, work, task, stages))
    if mount.read_only:
        return Mount(path, mount.target, read_only=True)
    return Mount.overlay((path,), mount.target)
