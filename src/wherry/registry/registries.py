"""The registries that one command speaks to: configured and connected when the first of them is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherry.image.reference import Reference
    from wherry.registry.client import Client
    from wherry.registry.credentials import Login
    from wherry.registry.hosts import Hosts
    from wherry.registry.repository import Repository


class Registries:
    """What speaks to registries, as this machine is configured. Close it, or use it as a context manager.

    ``insecure`` are registries (``host[:port]``) that may do without TLS, ``given`` logins beside those that are kept;
    ``offline`` refuses to connect; ``note`` is told what stops nothing. Most commands need none, so nothing is read or
    imported before.
    """

    def __init__(
        self,
        *,
        insecure: Sequence[str] = (),
        offline: bool = False,
        given: Mapping[str, Login] | None = None,
        note: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._insecure = tuple(insecure)
        self._offline = offline
        self._given = given
        self._note = note
        self._lock = threading.Lock()
        self._client: Client | None = None

    def __enter__(self) -> Registries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections; what is under way in other threads is given up."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.__exit__(None, None, None)

    @cached_property
    def hosts(self) -> Hosts:
        """Where registries are. Raises :class:`~wherry.errors.UsageError` for a configuration that is broken."""
        from wherry.registry.hosts import read_hosts

        return read_hosts(insecure=self._insecure)

    @property
    def client(self) -> Client:
        """What sends requests; a new one where the last was given up."""
        hosts = self.hosts
        with self._lock:
            if self._client is None or self._client.stop.is_set():
                from wherry.registry.client import Client
                from wherry.registry.credentials import Keychain

                if self._client is not None:
                    self._client.__exit__(None, None, None)
                self._client = Client(hosts, Keychain(self._given, note=self._note), offline=self._offline)
            return self._client

    def places(self, reference: Reference) -> tuple[Repository, ...]:
        """Where to read ``reference``: mirrors first. Raises :class:`~wherry.errors.UsageError` if it is blocked."""
        from wherry.registry.repository import Repository

        return tuple(Repository(self.client, endpoint) for endpoint in self.hosts.pull_endpoints(reference))

    def destination(self, reference: Reference) -> Repository:
        """Where to write ``reference``. Raises :class:`~wherry.errors.UsageError` if it is blocked."""
        from wherry.registry.repository import Repository

        return Repository(self.client, self.hosts.push_endpoint(reference), write=True)
